"""Sentences about a report, each derived from its facts."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from samebits.certificate.types import (
    ComparedCanary,
    Divergence,
    Files,
    Report,
    Repository,
    Scope,
    Source,
)
from samebits.experiment.protocol import CONTROL
from samebits.formats import names
from samebits.text import few, listed, when


@dataclass(frozen=True)
class Look:
    """How a verdict looks: its CSS class, its sign, its headline, its color on a terminal."""

    style: str
    sign: str
    headline: str
    color: str


LOOKS = {  # the best first, the worst that was found last
    names.REPRODUCIBLE: Look("good", "✓", "Reproducible", "green"),
    names.WITHIN_TOLERANCE: Look("near", "≈", "Equal within tolerance", "cyan"),
    names.UNSUPPORTED: Look("unsupported", "–", "Unsupported", "magenta"),
    names.INCONCLUSIVE: Look("open", "?", "Inconclusive", "yellow"),
    names.NOT_REPRODUCIBLE: Look("bad", "≠", "Not reproducible", "red"),
}

_COMMIT = 12  # digits
_MOST_CHANGED = 3  # files


def repository(found: Repository, most: int = _MOST_CHANGED) -> str:
    """The commit, what was not as in it, and which of that the experiment itself names."""
    if found["commit"] is None:
        return f"unknown commit ({found['problem'] or 'no record of the control'})"
    parts = [found["commit"][:_COMMIT]]
    if found["changed"] is None:
        parts.append(f"changes unknown ({found['problem']})")
    elif found["changed"]:
        parts.append(f"changed: {few(found['changed'], most)}")
    if found["inputs"]:
        parts.append(f"not committed inputs of the experiment: {few(found['inputs'], most)}")
    return "; ".join(parts)


def repositories(source: Source, of: str = "Model") -> Iterator[tuple[str, str]]:
    """Of this checkout, and of the model, or the program, where it has one of its own."""
    yield "Source", repository(cast(Repository, source))
    if source["model"] is not None:
        yield f"{of}'s source", repository(source["model"])


_THREADS = "Python threads"
_NONE: Files = {"read": [], "listed": [], "names": [], "absent": [], "written": [], "problem": None}


def opened(report: Any) -> Files:
    """The files that the control opened; none where it has no record of them."""
    found: Files = (report["records"]["runs"].get(CONTROL) or {}).get("files", _NONE)
    return found


def is_outside(path: str) -> bool:
    """Whether a file that a run opened lies outside of the user's source, by its name."""
    return path.startswith(("/", "~"))


# Facts about where a run ran, not about what ran.
_SURROUNDINGS = ("CPU model", "number of CPUs", "GPU", "operating system", "C library")


def statement(report: Report) -> str:
    """The verdict as a sentence."""
    runs, verdict = report["scope"]["runs"], report["verdict"]
    if verdict == names.NOT_REPRODUCIBLE and _only_failed(report):
        return "Runs of this experiment failed where their control completed."
    words = {1: "One", 2: "Two", 3: "Three", 4: "Four", 5: "Five"}
    return _STATEMENTS[verdict].format(runs=words.get(runs, str(runs)))


def _only_failed(report: Report) -> bool:
    """Whether no completed run has other bits than its control, beside those without a pin."""
    unpinned = {pin["run"] for pin in report["scope"]["pins"]}
    return not any(
        comparison["status"].get(run["run"]) == names.COMPLETED and not run["identical"]
        for comparison in report["comparisons"]
        for run in comparison["runs"]
        if run["run"] not in unpinned
    )


_STATEMENTS = {
    names.REPRODUCIBLE: "{runs} training runs of this experiment produced exactly the same bits.",
    names.WITHIN_TOLERANCE: "{runs} training runs agree within tolerance, but not bit for bit.",
    names.NOT_REPRODUCIBLE: "{runs} training runs of this experiment did not have the same bits.",
    names.UNSUPPORTED: "This experiment cannot be trained deterministically as it is pinned.",
    names.INCONCLUSIVE: "The evidence does not show whether this experiment is reproducible.",
}


def shows(report: Report) -> Iterator[str]:
    """What the evidence shows."""
    verdict, needed = report["verdict"], report["scope"]["conditions"]
    unchanged = names.survived(report)
    if verdict == names.NOT_REPRODUCIBLE and _only_failed(report):
        yield (
            "Pinned as listed below, the same code on the same data trained to its end in some "
            "runs and failed in others."
        )
    elif verdict == names.REPRODUCIBLE and (_control(report).get("program") is not None):
        yield from _PROGRAM_SHOWS
        yield from _SHOWS[verdict][2:]
    else:
        yield from _SHOWS.get(verdict, ())
    if report["scope"]["received"] == names.RECEIVED and verdict in _SHOWS:
        yield (
            "The batches that the training steps received add up, in every epoch, to the data set: "
            "each sample to train on once, every x with its y."
        )
    if unchanged and verdict not in (names.UNSUPPORTED, names.INCONCLUSIVE):
        yield f"The bits stayed the same when these were varied: {listed(unchanged)}."
    if needed:
        yield f"Each of these has to stay pinned, or the bits change: {listed(needed)}."


_PROGRAM_SHOWS = (
    "Every history of every fit, every value that evaluate, predict and steps on batches returned, "
    "every fingerprint of what optimizers updated, every final weight of every model, every value "
    "of every optimizer, every other variable and every compared file is equal bit for bit, not "
    "just close.",
    "The runs were separate processes with the same inputs, and each verified from inside that the "
    "pinned settings listed below were in effect when the program began.",
)
_SHOWS = {
    names.REPRODUCIBLE: (
        "Every loss and metric of every epoch, every fingerprint of the weights during training, "
        "every final weight, every value of the optimizer, every other variable and every "
        "prediction on the first batch is equal bit for bit, not just close.",
        "The runs were separate processes that loaded the same data, and each verified from inside "
        "that the pinned settings listed below were in effect.",
        "All packages had exactly the versions in the lock file.",
    ),
    names.WITHIN_TOLERANCE: (
        "No number differs by more than the experiment's own tolerance, but the bits do differ.",
    ),
    names.NOT_REPRODUCIBLE: (
        "Pinned as listed below, the same code on the same data produced different numbers. The "
        "table of differences shows which ones, and how far apart they are.",
    ),
    names.UNSUPPORTED: (
        "The model or its input uses an operation that this version of TensorFlow, pinned as "
        "listed below, cannot run deterministically, or not correctly. It was refused instead of "
        "producing numbers that may change or are wrong.",
    ),
}


def limits(report: Report) -> Iterator[str]:
    """What the evidence does not show."""
    verdict, scope = report["verdict"], report["scope"]
    cpus = [v for v in scope["variations"] if v["key"] == "cpu" and v["outcome"] != names.NOT_TRIED]
    # What an emulated run reads of its CPU's model is the host's.
    surroundings = [what for what in _SURROUNDINGS if not (cpus and what == "CPU model")]
    same = [fact["what"] for fact in scope["same"] if fact["what"] in surroundings]
    if verdict == names.INCONCLUSIVE:
        yield "Anything about the experiment, for the reasons given above."
    if verdict == names.NOT_REPRODUCIBLE and not scope["depends_on"]:
        yield "Why the runs differ, or whether they would differ the same way next time."
    if verdict == names.UNSUPPORTED:
        yield "Whether the experiment is reproducible with other pins: that was not tried."
    if verdict in (names.REPRODUCIBLE, names.WITHIN_TOLERANCE):
        if same:
            yield f"That the bits are the same elsewhere: all runs had the same {listed(same)}."
        unvaried = listed(scope["not_varied"])
        yield f"Whether the bits depend on any of these, which no run varied: {unvaried}."
        yield "That the runs are equal every time: a rare race can go unnoticed in a few runs."
        if ran := threads(report):
            yield (
                f"That threads never race: Python code ran in threads beside the main one: {ran}. "
                "Threads that share a random number generator draw in the order in which they come."
            )
    yield from _unanswered(report)
    if scope["left"]:
        yield _LEFT.format(few(scope["left"]), _SEEN if verdict == names.REPRODUCIBLE else "")
    if cpus:
        yield _EMULATION
    if scope["received"] not in (names.RECEIVED, None):  # None: no run completed
        yield f"That the steps trained on the data set. What they received: {scope['received']}."
    yield "That the model is good, or the data correct: equal bits say nothing about quality."
    if report["issuer"]["keyid"] is None:
        yield "Who made this certificate: it is UNSIGNED. To check it, repeat the training."
    else:
        yield "Whose key signed this certificate: that is for you to find out."


_LEFT = (
    "What the bits are where these files hold something else, or are missing: {}. Runs of this "
    "experiment write them, outside of their own folders, and read them or look for them.{}"
)
_SEEN = " A run that started after they were written had the same bits."


def threads(report: Report | dict[str, Any]) -> str:
    """The functions that ran as Python threads in any run; empty where none did."""
    return _known(report, _THREADS)


def replaced(report: Report | dict[str, Any]) -> str:
    """The ops that any run computed differently from TensorFlow; empty where none did."""
    return _known(report, names.REPLACED)


def _known(report: Report | dict[str, Any], what: str) -> str:
    """A fact about the runs, as each of them has it."""
    scope = report["scope"]
    found = [fact["value"] for fact in scope["same"] if fact["what"] == what]
    found += [
        v for fact in scope["differed"] if fact["what"] == what for v in fact["values"].values()
    ]
    return "; ".join(value for value in dict.fromkeys(found) if value not in (None, "none"))


def _unanswered(report: Report) -> Iterator[str]:
    """What the trained model was asked in vain."""
    for asked, why in (_control(report).get("predictions") or {}).items():
        if why is not None:
            yield f"That the trained models agree in {asked}(), which failed: {why}"


def _control(report: Report) -> Mapping[str, Any]:
    """The control's record; empty where there is none."""
    return report["records"]["runs"].get(CONTROL) or {}


_EMULATION = (
    "How a physical CPU of another model always behaves. The emulator offers that model's "
    "instruction sets, so different code paths run, and it computes approximate instructions "
    "(reciprocal square root) exactly, so a dependence on them is detected. It shows nothing about "
    "the speed, caches or errors of a physical CPU, and /proc/cpuinfo describes the host's CPU in "
    "emulated runs, too. They train on the first samples only."
)


def canary(canary: ComparedCanary, control: str, of_program: bool = False) -> str:
    """How the canary was changed, and where it differs."""
    count = f"{canary['elements']:,} elements of {canary['tensor']}"
    said = f"The training was begun again in the process of {canary['run']}, with one change at "
    if of_program:
        said = f"The program was started once more by {canary['run']}, with one change at "
    said += f"the beginning: {_CHANGES[canary['change']].format(count)}. "
    steps = dict.fromkeys(
        f"step {at['step']:,} ({few(at['tensors']) or 'nothing'})" for at in canary["steps"]
    )
    if not canary["differs"]:
        return f"{said}What differs from {control}: after {listed(steps) or 'no step'}."
    return f"{said}No seed can undo that. It differs from {control} after {listed(steps)}."


_CHANGES = {
    "lowest bit flipped": "the lowest bit of {} was flipped, of each that is not zero",
    "raised from 0 to 2**-7": "all {} were raised from 0 to 2**-7",
}


def at_step(step: int | None) -> str:
    """When a layer's own tensors first differ, in a table."""
    if step is None:
        return "no tensor of its own"
    return f"step {step:,}" if step else "the start"


def epochs(scope: Scope) -> str | None:
    """How many epochs were trained; None where that is not known, or they are of several fits."""
    found = scope["epochs"]
    if found is None or found["trained"] == found["at_most"]:
        return str(found["trained"]) if found else None
    return f"{found['trained']} of at most {found['at_most']}: the model ended its training"


def resumed(scope: Scope) -> list[str]:
    """The runs that were killed and resumed, and after which epochs."""
    found = scope["resumed"].items()
    return [f"{run} after epoch {listed(list(map(str, after)))}" for run, after in found]


# --- commands ----------------------------------------------------------------------------------


def variable(name: str) -> str:
    """An environment variable that the experiment does not declare, and how it would."""
    return f"the variable {name} (declare it: environment.{name}=VALUE)"


def verify_command(path: str, program: str = "./samebits") -> str:
    """The command that verifies a certificate. ``program``: how ./samebits is typed."""
    return f"{program} verify {shlex.quote(path)}"


def replay_command(path: str) -> str:
    """The command that trains again and compares the results with a certificate."""
    return f"./samebits replay {shlex.quote(path)}"


# --- first divergence --------------------------------------------------------------------------


def where(divergence: Divergence) -> str:
    """The first step and tensors that differ."""
    step, tensors = divergence["step"], few(divergence["tensors"])
    if step is None:
        return "The weights are equal at every step that both traces have."
    if step == 0:
        return f"The runs differ before the first step, in {tensors}."
    return f"The runs first differ {when(divergence)}, in {tensors}."


def details(divergence: Divergence) -> Iterator[str]:
    """Whether the steps received other batches, which losses differ, where the traces end."""
    batch, epoch = divergence["batch_step"], divergence["loss_epoch"]
    if batch is not None:
        yield f"They received different batches from step {batch:,} on."
    if epoch is None:
        yield "The losses of all epochs are equal."
    else:
        yield f"The losses differ from epoch {epoch:,} on."
    if divergence["every"] == "off":
        yield "Traced were the first weights, and those after the first call into the graph."
