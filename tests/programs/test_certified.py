"""The whole proof: programs as people write them are certified, unchanged, and plants are named.

One start of Snakemake for every eight programs of a framework, one for the plants, two for each
recipe of the article. Only those sweeps are made whose programs are selected (``-k vae``).
"""

import csv
import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import inputs
import numpy as np
import pytest

from pipeline import Workspace, command, skip_without
from programs import ARTICLE, HERE, PLANTED, PROGRAMS, Planted, Program
from samebits.formats import arrays

pytestmark = pytest.mark.slow

_CARS = "{url: 'https://data.example.org/machine-learning/cars.csv', path: cars.csv}"
_INPUTS = tuple(sorted({name for program in PROGRAMS for name in program.inputs}))
_LEFT = Path("/tmp/samebits-housing-order.npy")  # noqa: S108 (what the plant writes)
_LONGEST = 3600  # seconds for a sweep
_AT_ONCE = 8  # programs in a sweep, so that it ends in time on a busy machine, too
_NO_TRACE = "no optimizer step was seen"
# On the older frameworks, one of each mechanism: what Keras 2 does by other code than Keras 3.
_OLDER = {
    "tf2.8": (
        "mnist_convnet", "vae", "gan_train_step", "dcgan_loop", "siamese", "image_folder",
        "time_windows", "mixed_precision", "actor_critic", "spirals-train", "sine_waves",
        "compat_v1", "fuel_get_file", "writes_files",
    ),
    "tf2.1": (
        "mnist_mlp", "dcgan_loop", "tape_loop", "housing_kfold", "overfit_underfit", "generators",
        "checkpoints", "iris-train",
    ),
}  # fmt: skip
TRIED = [
    (framework, program)
    for framework in ("tf2.21", *_OLDER)
    for program in PROGRAMS
    if framework == "tf2.21" or program.name in _OLDER[framework]
]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A person's folder with all programs and their data, from which they are certified."""
    folder = _written(tmp_path_factory.mktemp("programs"))
    for planted in PLANTED:
        (folder / planted.file).write_text(planted.text())
    _LEFT.unlink(missing_ok=True)
    yield Workspace.make(folder)
    _LEFT.unlink(missing_ok=True)


def _written(folder: Path) -> Path:
    shutil.copytree(HERE, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    inputs.write((*_INPUTS, "cars.csv"), folder)
    return folder


class Results:
    """A sweep over programs: what each one's certificate says, and where its runs lie."""

    def __init__(self, project: Workspace, name: str, words: Sequence[str], *config: str) -> None:
        """Certify the programs that are started by ``words``."""
        sweep = "script=" + ",".join(json.dumps(each) for each in words)
        given = f"inputs=[{','.join((*_INPUTS, _CARS))}]"
        config = "--config", f"name={name}", f"sweep={sweep}", given, *config
        project.snakemake(*config, longest=_LONGEST)
        self.folder = project.folder / "results" / name
        with open(self.folder / "index.csv", encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        self.certificates = {}
        for row in rows:
            path = self.folder / row["certificate"]
            report = json.loads(path.read_bytes())["report"]
            started = " ".join(report["experiment"]["config"]["program"]["words"])
            self.certificates[started] = path, report

    def report(self, words: str) -> dict[str, Any]:
        """The report in a program's certificate."""
        report: dict[str, Any] = self.certificates[words][1]
        return report

    def control(self, words: str) -> Path:
        """The folder of a program's control."""
        return self.certificates[words][0].parent / "train" / "control"

    def record(self, words: str) -> dict[str, Any]:
        """The record of a program's control."""
        record: dict[str, Any] = json.loads((self.control(words) / "record.json").read_bytes())
        return record


Certified = Callable[[str, Program], Results]


@pytest.fixture(scope="module")
def certified(project: Workspace) -> Certified:
    """The sweep that has certified a program in a framework, with others that are tried there."""

    @cache
    def sweep(framework: str, determinism: str, first: int) -> Results:
        words = [p.words for p in _tried(framework, determinism)[first : first + _AT_ONCE]]
        given = f"framework={framework}", f"determinism={determinism}"
        return Results(project, f"{framework}-{determinism}-{first}", words, *given)

    def of(framework: str, program: Program) -> Results:
        if framework != "tf2.21":
            skip_without("3.7")
        index = _tried(framework, program.determinism).index(program)
        return sweep(framework, program.determinism, index - index % _AT_ONCE)

    return of


def _tried(framework: str, determinism: str) -> list[Program]:
    return [p for each, p in TRIED if (each, p.determinism) == (framework, determinism)]


def _name(value: object) -> str | None:
    return value.name if isinstance(value, Program) else None


@pytest.mark.parametrize(("framework", "program"), TRIED, ids=_name)
def test_a_program_is_certified_as_it_is(
    certified: Certified, framework: str, program: Program
) -> None:
    report = certified(framework, program).report(program.words)
    assert report["verdict"] == program.verdict
    untraced = any(_NO_TRACE in reason for reason in report["reasons"])
    assert untraced is (program.steps == 0)
    assert report["scope"]["depends_on"] == []


@pytest.mark.parametrize(("framework", "program"), TRIED, ids=_name)
def test_its_record_has_all_that_it_did(
    certified: Certified, framework: str, program: Program
) -> None:
    record = certified(framework, program).record(program.words)
    found = record["program"]
    assert (found["exit"], found["lost"]) == (0, 0)
    assert tuple(one["name"] for one in found["pins"]) == program.pins
    assert tuple(call["what"] for call in found["calls"]) == program.calls
    stepped = [one["class"] for one in found["optimizers"] if one["steps"]]
    assert set(stepped) == set(program.optimizers)
    assert program.models in (None, len(found["models"]))
    assert program.steps in (None, record["trace"]["steps"])
    untraced = tuple(sorted(re.split("[:#]", name)[0] for name in found["untraced"]))
    assert program.untraced in (None, untraced)
    written = {one["path"] for one in found["outputs"]}
    assert written >= set(program.outputs)
    assert {one["path"].partition("/")[0] for one in found["inputs"]} >= {
        name.partition("/")[0] for name in program.inputs
    }
    assert found["undeclared"] == []
    assert {one["name"] for one in found["fetched"]} == set(program.downloads)


@pytest.mark.parametrize("program", PROGRAMS, ids=_name)
def test_that_it_was_observed_changed_no_bit(
    certified: Certified, project: Workspace, tmp_path: Path, program: Program
) -> None:
    """Against the same program in a plain process with the same pins."""
    results = certified("tf2.21", program)
    record = results.record(program.words)
    profile = record["config"]["determinism"]
    folder, served = _written(tmp_path / "project"), tmp_path / "served"
    served.mkdir()
    for one in record["program"]["fetched"]:
        kept = project.folder / "data" / "downloads" / one["sha256"]
        shutil.copy(kept if kept.exists() else project.folder / one["name"], served / one["name"])
    line = [Path(__file__).with_name("bare.py"), "--served", served, "--out", tmp_path / "bare.npz"]
    line += ["--replaced", *(profile["replacements"] or ())]
    variables = {"PYTHONHASHSEED": str(profile["hash_seed"]), "HOME": str(tmp_path)}
    command(
        project.python("train-tf2.21"), *line, "--", *program.words.split(), cwd=folder,
        variables=variables | profile["environment"],
    )  # fmt: skip
    with np.load(tmp_path / "bare.npz") as bare:
        plain = {_bits(bare[name]) for name in bare.files}
    stored = arrays.open_arrays(results.control(program.words) / "weights.safetensors")
    assert plain <= {_bits(np.asarray(array)) for array in stored.values()}


def _bits(array: np.ndarray) -> tuple[str, tuple[int, ...], bytes]:
    return array.dtype.str, array.shape, array.tobytes()


@pytest.fixture(scope="module")
def planted(project: Workspace) -> Callable[[tuple[str, ...]], Results]:
    """The planted variants with these overrides, certified once."""

    @cache
    def of(overrides: tuple[str, ...]) -> Results:
        words = [each.file for each in PLANTED if each.overrides == overrides]
        name = "-".join(["planted", *(o.partition("=")[0] for o in overrides)])
        return Results(project, name, words, f"overrides={' '.join(overrides)}")

    return of


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.what)
def test_a_planted_dependence_is_found_and_named(
    planted: Callable[[tuple[str, ...]], Results], plant: Planted
) -> None:
    missing = [tool for tool in plant.needs if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"{missing[0]} is not installed")
    report = planted(plant.overrides).report(plant.file)
    assert report["verdict"] == "NOT REPRODUCIBLE"
    assert tuple(report["scope"]["depends_on"]) == plant.culprits
    assert plant.repeatable in (None, report["scope"]["repeatable"])


@pytest.mark.parametrize("framework", ["tf2.21", "tf2.8", "tf2.1"])
def test_the_published_experiment_as_printed_has_the_history_of_its_config(
    project: Workspace, framework: str
) -> None:
    """Float for float, both of its trainings."""
    if framework != "tf2.21":
        skip_without("3.7")
    (program,) = (each for each in ARTICLE if framework in each.frameworks)
    recipe = program.name.rpartition("_")[2]
    given = f"framework={framework}", f"determinism={recipe}", "protocol=twice", "trace=off"
    project.certify(f"typed-{framework}", f"script={program.words}", *given)
    project.certify(f"built-{framework}", "experiment=article", *given[:2], given[3])
    typed, built = (
        project.json(f"results/{kind}-{framework}/train/control/history.json")["metrics"]
        for kind in ("typed", "built")
    )
    for call in ("1 fit", "2 fit"):
        ours = {key.rpartition(": ")[2]: v for key, v in typed.items() if key.startswith(call)}
        assert ours == built
