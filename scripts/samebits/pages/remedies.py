"""What to change, by what the bits were seen to depend on, and under which settings.

One table, for the terminal, the page and docs/variations.md. It states nothing that is not derived
from a report, so nothing of it is signed.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from samebits.certificate.types import ComparedRun, Report
from samebits.comparison import attribution
from samebits.experiment import protocol
from samebits.experiment.variations import TITLES
from samebits.formats import names
from samebits.pages import wording
from samebits.text import few

NOT_REPEATABLE = "not repeatable"
LEFT = "what an earlier run left"
REFUSED = "an op that was refused"
_ALWAYS = ""
_TF28 = "`determinism=tf28` (`tf21` below TensorFlow 2.8)"

Pinned = Mapping[str, Any]  # the determinism of an experiment


@dataclass(frozen=True)
class Remedy:
    """One row: a culprit, the settings under which this is the remedy, and the remedy."""

    culprit: str
    under: str
    what: str


_UNDER: dict[str, Callable[[Pinned], bool]] = {
    "threads not pinned": lambda pinned: pinned["intra_op_threads"] is None,
    "instruction set not pinned": lambda pinned: pinned["isa"] is None,
    "seeds not pinned": lambda pinned: pinned["seeding"] is None,
    "op determinism not pinned": lambda pinned: not pinned["op_determinism"],
    "low bits of ops not pinned": lambda pinned: not pinned.get("replacements"),
    "`TF_DETERMINISTIC_OPS`": lambda pinned: "TF_DETERMINISTIC_OPS" in pinned["environment"],
    _ALWAYS: lambda pinned: True,
}
_INSTEAD = "replace the op, or have it trained all the same, with"
_SHOWN = "the runs then show whether its bits are equal"
# Of a culprit that has several, the first row counts whose settings are in force.
_OF_VARIATIONS: dict[str, str | dict[str, str]] = {
    "time_zone": "name the zone: `datetime.now(timezone.utc)`, `time.gmtime()`",
    "locale": "set it in the program, `locale.setlocale(locale.LC_ALL, 'C')`, or sort and "
    "format without it",
    "home": "use what a file at home holds, and not where it lies; keep it beside the model",
    "folder": "use paths relative to the source, and no absolute path as a value, a name or a seed",
    "umask": "set the modes of files where they are made, or the umask in the program: "
    "`os.umask(0o022)`",
    "variables": "look up the variables that are needed by name, and declare them: "
    "`environment.NAME=VALUE`",
    "host_name": "take the name from the experiment, as an argument of the model: "
    "`+model.NAME=VALUE`",
    "aslr": "order and hash objects by what they hold, and never by `id()` or their address",
    "cpus": {
        "threads not pinned": "`determinism=portable`, which pins the threads of TensorFlow",
        _ALWAYS: "write the number as a constant into the program, where it asks for it by "
        "`os.cpu_count()`, `os.sched_getaffinity()` or a pool of the default size",
    },
    "clock": "take the date from the experiment, as an argument of the model: `+model.NAME=VALUE`",
    "threads": "give each thread a generator of its own, seeded by the thread's number, or let "
    "one thread draw",
    "contention": "wait for results instead of a time limit, and take them in a fixed order",
    "directory_order": "sort what `os.listdir`, `os.scandir`, `glob` and `iterdir` give: "
    "`sorted(…)`",
    "hash_seed": "`determinism.hash_seed=0`, which every profile but `none` pins, or iterate over "
    "`sorted(…)` and not over a set",
    "cpu": {
        "instruction set not pinned": "`determinism=portable`, which pins threads and instruction "
        "set",
        "low bits of ops not pinned": "`determinism=portable` with TensorFlow 2.21, which computes "
        "reciprocal square roots and the like in float64",
        _ALWAYS: "replace the layer: no profile avoids that kernel (docs/same-bits.md)",
    },
    "deployment": "keep to one of uv and conda, and say which: they bring other builds of Python",
    "node": "`determinism=portable`, or ask the scheduler for nodes of one kind",
    "interrupt": "keep all state in variables of the model or its optimizer, or use "
    "`trainer.checkpoint=none`",
}
_ROWS = {TITLES[key]: rows for key, rows in _OF_VARIATIONS.items()} | {
    LEFT: "write it where no later run looks (`tempfile.gettempdir()` is a folder of the "
    "run's own), or make it an input that no run writes",
    NOT_REPEATABLE: {
        "seeds not pinned": f"{_TF28}, which pins seeds and op determinism",
        "op determinism not pinned": f"{_TF28}, which makes ops and input pipelines deterministic",
        _ALWAYS: "find what changes from run to run, where the runs part",
    },
    names.NO_VERSION: {
        "`TF_DETERMINISTIC_OPS`": f"{_INSTEAD} `determinism=seeds`: {_SHOWN}",
        _ALWAYS: f"{_INSTEAD} `determinism.op_determinism=false`: {_SHOWN}",
    },
    names.NO_SEED: "give the op a `seed`, or draw from a stateless op or from "
    "`tf.random.Generator.from_seed(…)`",
    REFUSED: "what the refusal names: mostly `determinism=eigen`, which computes without oneDNN",
}
TABLE = tuple(
    Remedy(culprit, under, what)
    for culprit, rows in _ROWS.items()
    for under, what in (rows if isinstance(rows, dict) else {_ALWAYS: rows}).items()
)

_RANDOM = "a generator without a seed (`np.random.default_rng()`, `random.SystemRandom`, `uuid`)"
_BEFORE = f"{_RANDOM}, the time, the process id, an address (`id()`), memory that was never written"
_BATCHES = (
    "data that is shuffled or augmented by a generator without a seed, or by threads "
    "(`num_parallel_calls` with `deterministic=False`, workers)"
)
_LATER = (
    "random numbers that the model or a callback draws in Python or from a generator of its own, "
    "threads, an op without a deterministic version"
)
_BESIDE = f"{_RANDOM} in what training does not use: a layer's own generator, `predict_step`"

_RACE = "Python code that ran in threads and shares a generator with others"


def remedies(report: Report) -> Iterator[tuple[str, str]]:
    """Of each culprit that a report names: its title and what to change, as a sentence."""
    scope, config = report["scope"], report["experiment"].get("config")
    culprits = scope["depends_on"] or [NOT_REPEATABLE] * (scope["repeatable"] is False)
    for culprit in culprits:
        kind = LEFT if culprit.startswith(f"{LEFT} in ") else culprit
        if config and kind in _ROWS:
            found = find(kind, config["determinism"])
            place = _layers(report) if kind == TITLES["cpu"] else ""
            if kind == NOT_REPEATABLE and found.under == _ALWAYS:
                place = f". {_usual(report)}"
            yield culprit, f"{found.what}{place}".replace("`", "")  # marks for code
    if config and report["verdict"] == names.UNSUPPORTED:
        yield from _of_refusal(report, config["determinism"])


def _of_refusal(report: Report, pinned: Pinned) -> Iterator[tuple[str, str]]:
    """The op that was refused, and what to do about it."""
    control = report["records"]["runs"].get(protocol.CONTROL)
    refusal = control["unsupported"] if control else None
    if refusal:
        kind = refusal["reason"] if refusal["reason"] in _ROWS else REFUSED
        yield refusal["op"] or kind, find(kind, pinned).what.replace("`", "")


def find(culprit: str, pinned: Pinned) -> Remedy:
    """The remedy for a culprit under these settings."""
    rows = (row for row in TABLE if row.culprit == culprit)
    return next(row for row in rows if _UNDER[row.under](pinned))


def _runs(report: Report) -> Iterator[ComparedRun]:
    return (run for comparison in report["comparisons"] for run in comparison["runs"])


def _layers(report: Report) -> str:
    """The layers that ran CPU-dependent kernels, at the end of a sentence."""
    stated = (run.get("attribution", {}).get("layers") for run in _runs(report))
    layers = (layer for found in stated for layer in found or ())
    named = {f"{layer['layer']} ({attribution.kernels_text(layer)})": layer for layer in layers}
    return f"; the bits depend on it in {few([*named])}" if named else ""


def _usual(report: Report) -> str:
    """Where a repeat, or the first run that differs, parts from the control; what is usual."""
    differing = sorted(
        (run for run in _runs(report) if not run["identical"]),
        key=lambda run: run["run"] != protocol.REPEAT,
    )
    found = next((run["divergence"] for run in differing if run["divergence"]), None)
    if found is None or found["step"] is None:
        return f"The traced weights are equal; what else can differ: {_BESIDE}."
    ran = f"; {_RACE} ({threads})" if (threads := wording.threads(report)) else ""
    causes, batch = _BEFORE if found["step"] == 0 else _LATER, found["batch_step"]
    if found["step"] and batch is not None and batch <= found["step"]:
        causes = _BATCHES
    return f"{wording.where(found)} Usual causes there: {causes}{ran}."
