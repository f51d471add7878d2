"""A fact that stands at two places of the evidence cannot be changed at one of them.

The pairs are generated: every value that is found again elsewhere in the evidence of a certificate.
One of each pair is changed by a forger who takes care: all digests are computed again, and scope,
reasons and statements are derived again. What such a change leaves sound is listed here, each with
its reason, and nothing else does. Every list, and every table of names, is emptied the same way.
"""

from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

import attacks
import factories
from attacks import Keys
from samebits.certificate import report, schema
from samebits.errors import SamebitsError
from samebits.formats import canonical
from samebits.formats.names import INCONCLUSIVE

Json = Any
EVIDENCE = ("comparisons", "dependencies", "experiment", "histories", "lock", "records")


def places(value: Json, keys: Keys = ()) -> Iterator[tuple[Keys, Json]]:
    """Every part of a JSON value, and where it stands."""
    yield keys, value
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(part, (*keys, key))


def evidence(content: Json) -> Iterator[tuple[Keys, Json]]:
    for key in EVIDENCE:
        yield from places(content[key], (key,))


def starred(keys: Keys) -> str:
    """One text per kind of place."""
    return ".".join("*" if isinstance(key, int) else key for key in keys)


def twins(content: Json) -> dict[str, Keys]:
    """One place of each kind whose value stands at another place, too."""
    seen: dict[str, list[Keys]] = {}
    for keys, value in evidence(content):
        if isinstance(value, str | int | float) and str(value) not in (
            "",
            "0",
            "1",
            "True",
            "False",
        ):
            seen.setdefault(repr(value), []).append(keys)
    return {starred(keys): keys for found in seen.values() for keys in found if len(found) > 1}


def another(value: Json) -> Json:
    """A value of the same kind."""
    if not isinstance(value, str):
        return value + 1
    for last in range(len(value) - 1, -1, -1):
        if value[last].isalnum():
            return (
                value[:last]
                + ("b" if value[last] in "ac" else "1" if value[last] == "0" else "0")
                + value[last + 1 :]
            )
    return value + "1"


def sound(original: Json, keys: Keys, value: Json) -> bool:
    """Whether the evidence is graded as before when it holds this at that place."""
    said: Any = attacks.replaced(original, keys, value)
    try:
        runs = {name: canonical.with_digest(run) for name, run in said["records"]["runs"].items()}
        load = canonical.with_digest(said["records"]["load"])
        compared = [canonical.with_digest(comparison) for comparison in said["comparisons"]]
        said = {**said, "records": {"load": load, "runs": runs}, "comparisons": compared}
        made = report.rebuild(said)
    except (ArithmeticError, AttributeError, LookupError, SamebitsError, TypeError, ValueError):
        return False
    unfit = any(schema.violations(made, schema.REPORT))
    return not unfit and made["verdict"] == original["verdict"] != INCONCLUSIVE


# A star is any key, two are any keys, also none.
MAY_DIFFER = {
    "experiment.name": "what the issuer calls it",
    "experiment.digest": "computed again from the config, and so no fact of its own",
    "records.load.environment.packages.**": "its lock is named by digest and is not carried",
    "records.load.environment.python.**": "as above",
    "records.runs.*.machine.**": "there may be several machines: the scope lists what differed",
    "records.runs.*.observed.**": "whether it changed is compared: the scope lists that",
    "records.runs.*.variations.applied.**": "how it was varied, in words: what it observed counts",
    "records.runs.*.timing.**": "when it ran, how long, how much memory it took",
    "records.runs.*.settings.*.how": "how a setting was probed, in words",
    "records.runs.*.settings.*.name": "of a setting that is not pinned",
    "records.runs.*.settings.*.effective": "of a setting that is not pinned",
    "records.runs.*.packages.*.version": "pip itself, which the lock leaves open",
    "records.runs.*.model.name": "what Keras calls it",
    "records.runs.*.model.parameters": "what Keras counts",
    "records.runs.*.model.layers.**": "what Keras calls them",
    "records.runs.*.model.executed.**": "its layer attribution is compared with it",
    "records.runs.*.source.*.path": "where it lay: its digest counts",
    "records.runs.*.repositories.**": "a commit may be made meanwhile: the code's digests count",
    "records.runs.*.files.*.*.path": "a run may open what another does not: digests count",
    "records.runs.*.files.absent.*": "as above",
    "records.runs.*.checkpoints.again.digests.*": "measured: other ones say that state is missing",
    "records.runs.*.canary.steps": "with or without a row before the first step",
    "records.runs.*.canary.tensors.*.name": "Keras counts the layers of a process",
    "comparisons.*.canary.tensors.**": "in which of the traced tensors: needs the arrays",
    "comparisons.*.self_check.*.index.**": "which element of the array, within its shape",
    "comparisons.*.runs.*.artifacts.*.differences.**": "how far they are apart: needs the arrays",
    "comparisons.*.runs.*.divergence.loss_curve.**": "how far they are apart: needs the arrays",
    "records.runs.*.nan.numbers": "how many weights are numbers: needs the arrays",
}
UNSEEDED = {"records.runs.*.generators.*": "without a seed they show nothing, and are not compared"}
MAY_BE_EMPTY = {
    "experiment.overridden": "the issuer's word: the config has all values",
    "records.load.refused": "nothing was refused",
    "records.runs.*.observed.*": "no way of asking told it: such a variation was not tried",
    "records.runs.*.machine.flags": "a CPU that lists none",
    "records.runs.*.files.**": "a program that opens nothing",
    "records.runs.*.model": "where nothing could be described",
    "records.runs.*.model.layers": "as above",
    "records.runs.*.model.layers.*": "as above",
    "records.runs.*.model.executed.*.tensors": "a layer without weights",
    "comparisons.*.runs.*.attribution.layers": "no layer that the atlas lists: needs the atlas",
    "comparisons.*.runs.*.divergence.loss_curve.**": "without rows there is none",
}


def allowed(keys: Keys, patterns: dict[str, str]) -> bool:
    return any(
        fnmatchcase(starred(keys), pattern.removesuffix(".**"))
        or (pattern.endswith(".**") and fnmatchcase(starred(keys), f"{pattern[:-3]}.*"))
        for pattern in patterns
    )


KINDS: dict[str, Callable[[Path], Any]] = {
    "two runs": factories.workspace,
    "runs of every kind": factories.explained,
    "checkpoints": factories.with_checkpoints,
    "other bits": lambda path: factories.workspace(path, weights=factories.differing()),
}
QUICK = ("two runs",)
ALL = [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in KINDS if name not in QUICK)]


@pytest.mark.parametrize("name", ALL)
def test_a_fact_that_stands_twice_cannot_be_changed_once(name: str, tmp_path: Path) -> None:
    original = factories.report_of(KINDS[name](tmp_path))
    assert twice(original) == []


def twice(original: Json) -> list[str]:
    """Where one of two equal values can be changed, and the verdict stays."""
    seeded = original["experiment"]["config"]["determinism"]["seeding"] is not None
    may = MAY_DIFFER if seeded else MAY_DIFFER | UNSEEDED
    return [
        place
        for place, keys in twins(original).items()
        if not allowed(keys, may) and sound(original, keys, another(_at(original, keys)))
    ]


@pytest.mark.parametrize("name", ALL)
def test_no_list_on_which_the_verdict_rests_can_be_emptied(name: str, tmp_path: Path) -> None:
    original = factories.report_of(KINDS[name](tmp_path))
    assert emptied(original) == []


def emptied(original: Json) -> list[str]:
    """Which lists, and tables of names, can be emptied, and the verdict stays."""
    lists = {starred(k): k for k, v in evidence(original) if v and isinstance(v, dict | list)}
    return [
        place
        for place, keys in lists.items()
        if not allowed(keys, MAY_BE_EMPTY) and sound(original, keys, type(_at(original, keys))())
    ]


def _at(value: Json, keys: Keys) -> Json:
    for key in keys:
        value = value[key]
    return value


# --- contradictions by name --------------------------------------------------------------------

RUN = ("records", "runs", "replica")
TENSOR = {"name": "dense/bias", "dtype": "F32", "shape": [4]}


CONTRADICTIONS: dict[str, tuple[Keys, Callable[[Json], Json]]] = {
    "a canary without arrays": ((*RUN, "canary", "tensors"), lambda _: []),
    "a canary of no step": ((*RUN, "canary", "steps"), lambda _: 0),
    "a canary without fingerprints": ((*RUN, "canary", "tensors"), lambda found: found[:2]),
    "a canary of fewer weights": ((*RUN, "canary", "tensors"), lambda found: found[:3]),
    "a trace without rows": (
        (*RUN, "tensors", "trace"),
        lambda found: [{**t, "shape": [0, *t["shape"][1:]]} for t in found],
    ),
    "a trace of fewer rows than steps": ((*RUN, "trace", "steps"), lambda steps: steps + 2),
    "a trace without a weight": ((*RUN, "tensors", "trace"), lambda found: [found[0], *found[3:]]),
    "a step without a batch": ((*RUN, "trace", "steps"), lambda steps: steps + 1),
    "a load record without arrays": (("records", "load", "arrays"), lambda _: []),
    "a load record of one array": (("records", "load", "arrays"), lambda found: found[:1]),
    "a load record of other data": (("records", "load", "dataset"), lambda _: "fashion_mnist"),
    "data of another lock": (("records", "load", "environment", "lock"), lambda _: "a" * 64),
    "a lock of another environment": (("lock", "name"), lambda _: "envs/train-tf2.8.lock.txt"),
    "a lock for another Python": (("lock", "text"), lambda text: text.replace("3.11", "3.12")),
    "a lock without packages": (("lock", "text"), lambda text: text[: text.index("keras")]),
    "another wheel of TensorFlow": ((*RUN, "framework", "wheel", "sha256"), lambda _: "c" * 64),
    "another TensorFlow than was probed": ((*RUN, "framework", "tensorflow"), lambda _: "2.20.0"),
    "another Keras than installed": ((*RUN, "framework", "keras"), lambda _: "3.0.0"),
    "two weights of one name": ((*RUN, "tensors", "weights"), lambda found: [*found, TENSOR]),
    "a dtype that is none": ((*RUN, "tensors", "weights", 0, "dtype"), lambda _: "F31"),
    "a shape that is none": ((*RUN, "tensors", "weights", 0, "shape"), lambda _: [2**63]),
    "a loss beyond float64": (
        ("histories", "replica", "metrics", "loss"), lambda found: [10**400, *found[1:]],
    ),
    "a module twice": ((*RUN, "source"), lambda found: found * 2),
    "a run that both failed and completed": (
        (*RUN, "failure"), lambda _: {"error": "ValueError", "message": "none"},
    ),
    "a status of a run that is not there": (
        ("comparisons", 0, "status"), lambda found: found | {"another": "completed"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", CONTRADICTIONS)
def test_evidence_that_contradicts_itself_is_refused(issued: Json, what: str) -> None:
    keys, change = CONTRADICTIONS[what]
    original = issued["report"]
    assert not sound(original, keys, change(_at(original, keys)))


def test_a_canary_that_is_the_controls_trace_is_refused(issued: Json) -> None:
    """Its file, and what stands in the list of evidence, are those of the control."""
    said = factories.copied(issued["report"])
    runs = said["records"]["runs"]
    runs["replica"]["canary"]["digest"] = runs["control"]["digests"]["trace"]
    entry = next(e for e in said["evidence"] if e["name"] == "train/replica/canary.safetensors")
    entry["sha256"] = runs["control"]["digests"]["trace"]
    assert not sound(said, ("records",), said["records"])


@pytest.mark.parametrize("name", ["envs/train-tf2.21.lock.txt", "envs/load.lock.txt"])
@pytest.mark.parametrize("change", [lambda found: found | {"sha256": "0" * 64}, lambda found: None])
def test_a_dependency_is_the_lock_that_the_evidence_holds(
    issued: Json, name: str, change: Callable[[Json], Json]
) -> None:
    found = issued["report"]["dependencies"]
    changed = [change(each) if each["name"] == name else each for each in found]
    assert not sound(issued["report"], ("dependencies",), list(filter(None, changed)))
