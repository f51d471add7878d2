"""The canary zoo: experiments with one planted dependence, and clean ones, run as a user would.

    python tests/zoo/zoo.py [--directory DIR] [NAME ...]

Each planted one must be refused under `exhaustive`, with the culprit named where there is one, or
certified only under the pin that covers it; and be certified once its remedy was followed. Prints a
table, ends with 1 when a result is wrong.
"""

import argparse
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from pipeline import Workspace
from samebits.pages import remedies

HERE = Path(__file__).parent
# Few and small: what counts is how many runs are compared, not how long each is.
_SIZE = ("data=synthetic", "data.samples=160", "trainer.epochs=1")
# Pins are unpinned, and other CPUs emulated, only where that is the point.
_UNPINNED = "protocol=exhaustive protocol.cpu.models=[]"
_TWICE = ("protocol=twice",)
_KILLED = (  # with epochs enough for a kill among them
    "protocol=twice protocol.alone=[interrupt]", "trainer.checkpoint=epoch", "trainer.epochs=12"
)  # fmt: skip
_ALONE = f"{_UNPINNED} protocol.unpin=false"
_NAMED = {  # what has a culprit, in the order in which a certificate names them
    "time_zone": "time zone",
    "locale_name": "locale",
    "home": "home folder",
    "folder": "path to the working folder",
    "umask": "umask",
    "variables": "extra environment variables",
    "host_name": "host name",
    "cpus": "number of CPUs",
    "cpu_count": "number of CPUs",
    "list_of_users": "home folder",
}
_NORMALIZED = ("batch_normalization", "layer_normalization")
_NOT_REPLACED = "determinism.replacements=[]"
REFUSED, CERTIFIED, UNSUPPORTED = "NOT REPRODUCIBLE", "REPRODUCIBLE", "UNSUPPORTED"
INCONCLUSIVE = "INCONCLUSIVE"


@dataclass(frozen=True)
class Specimen:
    """One experiment of the zoo and what its certificate has to say."""

    name: str
    model: str
    verdict: str = REFUSED
    culprits: tuple[str, ...] = ()  # exactly these, where there are any
    conditions: tuple[str, ...] = ()  # among the pins that are needed
    repeatable: bool | None = None  # under identical conditions; None: not asked
    undeclared: tuple[str, ...] = ()  # variables that it looks up, which have to be named
    caution: str | None = None  # what is said first, its beginning
    survived: tuple[str, ...] = ()  # among the variations under which the bits stay the same
    needs: tuple[str, ...] = ()  # tools without which the machine cannot tell
    overrides: tuple[str, ...] = field(default=(_ALONE,))
    options: tuple[str, ...] = ()  # of Snakemake


def _planted() -> Iterator[Specimen]:
    for name in (
        "default_rng",
        "pid",
        "start_time",
        "random_uuid",
        "np_empty",
        "id_order",
        "address",
        "hidden_generator",
        "shifted_predictions",
    ):
        yield Specimen(name, f"planted.{name}", repeatable=False)
    yield Specimen(
        "thread_race", "planted.thread_race", repeatable=False,
        overrides=(_ALONE, "determinism=seeds"),
    )  # fmt: skip
    yield Specimen("numpy_race", "planted.numpy_race", culprits=("timing of Python threads",))
    for name, culprit in _NAMED.items():
        yield Specimen(name, f"planted.{name}", culprits=(culprit,), repeatable=True)
    yield Specimen(
        "year", "planted.year", culprits=("clock",), repeatable=True, needs=("faketime",)
    )
    yield Specimen(
        "directory_order", "planted.directory_order", culprits=("order of directory entries",),
        repeatable=True, needs=("disorderfs",), overrides=(_ALONE, "+model.listed=listed"),
    )  # fmt: skip
    yield Specimen(
        "monotonic", "planted.monotonic", culprits=("clock",), repeatable=True, needs=("faketime",)
    )
    yield Specimen(
        "directory_order_elsewhere", "planted.directory_order",
        culprits=("order of directory entries",), repeatable=True, needs=("disorderfs",),
        overrides=(_ALONE, "+model.listed=../elsewhere"),
    )  # fmt: skip
    left = "what an earlier run left in ~/samebits-zoo.cache"
    yield Specimen("cache_file", "planted.cache_file", culprits=(left,), repeatable=False)
    yield Specimen("resumed", "planted.resumed", repeatable=False)
    for name in ("made_once", "named_once"):
        yield Specimen(
            name, f"planted.{name}", INCONCLUSIVE, overrides=("protocol=varied",),
            options=("--cores", "1"),  # the second run begins when the first has ended
        )  # fmt: skip
    yield Specimen(
        "set_order_unpinned", "planted.set_order", culprits=("hash seed",), repeatable=True,
        overrides=(_ALONE, "determinism.hash_seed=null"),
    )  # fmt: skip
    yield Specimen(
        "set_order", "planted.set_order", CERTIFIED, conditions=("hash seed",),
        overrides=(_UNPINNED, "protocol.alone=[]"),
    )  # fmt: skip
    yield Specimen(
        "python_random", "planted.python_random", CERTIFIED, conditions=("Python seed",),
        overrides=(_UNPINNED, "protocol.alone=[]"),
    )  # fmt: skip
    for name in _NORMALIZED:
        yield Specimen(
            name, f"planted.{name}", culprits=("CPU",), repeatable=True, needs=("qemu-x86_64",),
            overrides=(_NOT_REPLACED, "protocol.cpu={models: [Haswell], samples: 96, epochs: 1}"),
        )  # fmt: skip
    yield Specimen("timestamp", "planted.timestamp", UNSUPPORTED)
    yield Specimen(
        "timestamp_allowed", "planted.timestamp", CERTIFIED,
        overrides=("determinism.op_determinism=false",),
    )  # fmt: skip
    yield Specimen("wrong_kernel", "planted.wrong_kernel", CERTIFIED)
    yield Specimen(
        "wrong_kernel_avoided", "planted.wrong_kernel", CERTIFIED, overrides=("determinism=eigen",)
    )
    yield Specimen(
        "user_variable", "planted.user_variable", CERTIFIED, undeclared=("FACTOR",),
        overrides=("protocol=varied",),
    )  # fmt: skip
    for name in ("two_optimizers", "stateful_rnn"):
        yield Specimen(
            name, f"resumed.{name}", CERTIFIED, survived=("kill and resume",), overrides=_KILLED
        )  # fmt: skip
    yield Specimen(
        "counting", "resumed.counting", culprits=("kill and resume",), repeatable=True,
        overrides=_KILLED,
    )  # fmt: skip
    for name, verdict, caution in (
        ("nan_hides", INCONCLUSIVE, "Not a number since step 1"),
        ("other_data", CERTIFIED, "The steps received other data"),
        ("no_data", CERTIFIED, "No update of a weight depends on x"),
    ):
        yield Specimen(name, f"planted.{name}", verdict, caution=caution, overrides=_TWICE)


def _clean() -> Iterator[Specimen]:
    """Each model once under `exhaustive`, and with other data and seeds as users run it."""
    models = "samebits.models.mlp", "samebits.models.cnn", "clean.lstm", "clean.augmented"
    for model in (*models, "clean.normalized"):
        for data, seed in ((0, 1), (0, 2), (1, 1), (1, 2)):
            name = f"clean-{model.rpartition('.')[2]}-{data}-{seed}"
            protocol = _ALONE if (data, seed) == (0, 1) else "protocol=varied"
            overrides = protocol, f"data.seed={data}", f"seed={seed}"
            yield Specimen(name, model, CERTIFIED, overrides=overrides)
    yield Specimen(
        "clean-seeds_itself", "clean.seeds_itself", CERTIFIED, overrides=("protocol=varied",)
    )


# The remedy is a setting: what of the overrides is replaced, and by what.
_SETTINGS = {
    "thread_race": ("determinism=seeds", "determinism=tf28"),
    "set_order_unpinned": ("determinism.hash_seed=null", "determinism.hash_seed=0"),
    "counting": ("trainer.checkpoint=epoch", "trainer.checkpoint=none"),
    **dict.fromkeys(_NORMALIZED, (_NOT_REPLACED, "determinism=portable")),
}


def _remedied(planted: Specimen) -> Specimen:
    """The same with what its certificate advises: another setting, or a line in remedied.py."""
    model, overrides = planted.model.replace("planted.", "remedied."), planted.overrides
    if planted.name in _SETTINGS:
        old, new = _SETTINGS[planted.name]
        model, overrides = planted.model, (*(o for o in overrides if o != old), new)
    name = f"{planted.name}-remedied"
    return Specimen(name, model, CERTIFIED, needs=planted.needs, overrides=overrides)


PLANTED, CLEAN = tuple(_planted()), tuple(_clean())
REMEDIED = tuple(_remedied(specimen) for specimen in PLANTED if specimen.verdict == REFUSED)
# What most of them plant, in the time of two; without names, they are tried one by one instead.
TOGETHER = (
    Specimen(
        "many", "planted.many", culprits=(*dict.fromkeys(_NAMED.values()), "hash seed"),
        repeatable=True, overrides=(_ALONE, "determinism.hash_seed=null"),
    ),
    Specimen(
        "with_tools", "planted.with_tools", culprits=("clock", "order of directory entries"),
        repeatable=True, needs=("faketime", "disorderfs"),
        overrides=(_ALONE, "+model.listed=../elsewhere"),
    ),
    Specimen(
        "remedied", "remedied.many", CERTIFIED, needs=("faketime", "disorderfs"),
        overrides=(_ALONE, "+model.listed=../elsewhere"),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Sighting:
    """What the certificate of a specimen said, and whether that is right."""

    specimen: Specimen
    verdict: str
    culprits: tuple[str, ...]
    conditions: tuple[str, ...]
    wrong: tuple[str, ...]
    skipped: str | None = None


def observe(workspace: Workspace, specimen: Specimen) -> Sighting:
    """Run one experiment through the whole pipeline and hold its certificate against the plant."""
    missing = [tool for tool in specimen.needs if shutil.which(tool) is None]
    if missing:
        return Sighting(specimen, "", (), (), (), f"{missing[0]} is not installed")
    for listed in (workspace.folder / "listed", workspace.folder.parent / "elsewhere"):
        listed.mkdir(exist_ok=True)
        for number in range(20):
            (listed / str(number)).touch()
    home = workspace.folder / "homes" / specimen.name
    home.mkdir(parents=True, exist_ok=True)
    overrides = " ".join((*_SIZE, _model(specimen), *specimen.overrides))
    issued: Any = workspace.certify(
        specimen.name,
        f"source_path={HERE}",
        f"overrides={overrides}",
        *specimen.options,
        variables={"HOME": str(home), "FACTOR": "7"},
    )
    seen, wrong = judge(specimen, issued), []
    if specimen.verdict in (REFUSED, UNSUPPORTED) and not [*remedies.remedies(issued)]:
        wrong.append("expected a remedy, got none")
    tried = [run for run in issued["records"]["runs"] if run.startswith(("with-", "without-"))]
    if specimen.repeatable is False and set(tried) - {"with-home"}:
        wrong.append(f"expected no variation tried where a repeat differs, got {tried}")
    return replace(seen, wrong=(*seen.wrong, *wrong))


def _model(specimen: Specimen) -> str:
    built_in = {"samebits.models.mlp": "model=mlp", "samebits.models.cnn": "model=cnn"}
    return built_in.get(specimen.model, f"model=custom model._target_={specimen.model}")


def judge(specimen: Specimen, issued: dict[str, Any]) -> Sighting:
    """What is wrong with a certificate, given what was planted."""
    scope, wrong = issued["scope"], []
    if issued["verdict"] != specimen.verdict:
        wrong.append(
            f"expected {specimen.verdict}, got {issued['verdict']}: {issued['reasons'][:3]}"
        )
    if specimen.culprits and tuple(scope["depends_on"]) != specimen.culprits:
        wrong.append(f"expected {specimen.culprits}, got {scope['depends_on']}")
    if not set(specimen.conditions) <= set(scope["conditions"]):
        wrong.append(f"expected the condition {specimen.conditions}, got {scope['conditions']}")
    if specimen.repeatable is not None and scope["repeatable"] is not specimen.repeatable:
        wrong.append(f"expected repeatable {specimen.repeatable}, got {scope['repeatable']}")
    if specimen.undeclared and tuple(scope["undeclared"]) != specimen.undeclared:
        wrong.append(f"expected {specimen.undeclared} named, got {scope['undeclared']}")
    survived = {row["what"] for row in scope["variations"] if row["outcome"] == "same bits"}
    if not set(specimen.survived) <= survived:
        wrong.append(f"expected {specimen.survived} survived, got {sorted(survived)}")
    if specimen.caution and not "".join(scope["cautions"]).startswith(specimen.caution):
        wrong.append(f"expected {specimen.caution} first, got {scope['cautions']}")
    return Sighting(
        specimen,
        issued["verdict"],
        tuple(scope["depends_on"]),
        tuple(scope["conditions"]),
        tuple(wrong),
    )


def table(sightings: list[Sighting]) -> str:
    """The results as Markdown."""
    lines = ["| planted | verdict | named | as it must be |", "| --- | --- | --- | --- |"]
    for seen in sightings:
        named = ", ".join(seen.culprits)
        if seen.specimen.conditions:
            named = "only with: " + ", ".join(seen.conditions)
        if not named and seen.specimen.repeatable is False:
            named = "not repeatable"
        right = seen.skipped or ("no: " + "; ".join(seen.wrong) if seen.wrong else "yes")
        lines.append(f"| {seen.specimen.name} | {seen.verdict} | {named} | {right} |")
    return "\n".join(lines)


def counted(sightings: list[Sighting]) -> str:
    """How many were wrong, in the words of the README."""
    tried = [seen for seen in sightings if not seen.skipped]
    planted = [seen for seen in tried if seen.specimen in PLANTED]
    false = [s for s in planted if s.verdict == CERTIFIED and s.specimen.verdict != CERTIFIED]
    clean = [seen for seen in tried if seen.specimen in CLEAN]
    alarms = [seen for seen in clean if seen.verdict != CERTIFIED]
    return (
        f"{len(planted)} planted: {len(false)} false certificates, "
        f"{sum(bool(s.wrong) for s in planted)} wrong in any way; "
        f"{len(clean)} clean: {len(alarms)} false alarms"
    )


def main() -> int:
    """Run the zoo, or the named specimens."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    specimens = {s.name: s for s in PLANTED + REMEDIED + CLEAN + TOGETHER}
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {' '.join(specimens)}")
    parser.add_argument("--directory", type=Path, default=Path("results/zoo"))
    options = parser.parse_args()
    if unknown := set(options.names) - {*specimens}:
        parser.error(f"no specimen is named {' or '.join(sorted(unknown))}")
    workspace = Workspace.make(options.directory.resolve())
    workspace.folder.mkdir(parents=True, exist_ok=True)
    sightings = []
    alone = [s.name for s in PLANTED + REMEDIED + CLEAN + TOGETHER[-1:]]
    for name in options.names or alone:
        sightings.append(observe(workspace, specimens[name]))
        print(table(sightings[-1:]).splitlines()[-1], flush=True)
    print(f"\n{table([s for s in sightings if s.specimen in PLANTED])}\n\n{counted(sightings)}")
    return int(any(seen.wrong for seen in sightings))


if __name__ == "__main__":
    sys.exit(main())
