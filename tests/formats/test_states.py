"""The states on the way as evidence: equal weights at the end are not enough."""

import copy
import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import factories
import killing
from factories import Workspace
from samebits.certificate import evidence, report, schema
from samebits.certificate.report import Issue
from samebits.formats import canonical, files, states

ISSUE = Issue("default", "2026-11-23T12:00:00Z", ("make certificate",))
FIRST, SECOND, OTHER = (
    dict.fromkeys(states.PARTS, hashlib.sha256(text).hexdigest()) for text in (b"1", b"2", b"3")
)


def checkpointed(
    folder: Path, replica: tuple[states.State, states.State] = (FIRST, SECOND)
) -> Workspace:
    """Two runs of three epochs whose final weights are equal; their states on the way are given."""
    config = copy.deepcopy(factories.CONFIG)
    config["trainer"]["checkpoint"] = "epoch"
    space = factories.workspace(folder, config=config)
    for run, before in zip(space.runs, ((FIRST, SECOND), replica), strict=True):
        digests = [*before, killing.last_state(run)]
        found = {"every": "epoch", "digests": digests, "root": states.root(digests), "resumed": []}
        again = {"epoch": 3, "digests": digests[-1], "failure": None, "attributes": []}
        has = {"again": again if run.name == "replica" else None}
        change(run, with_checkpoints(found | has))
    return space.compare()


def with_checkpoints(found: Any) -> Callable[[Any], None]:
    return lambda record: record.update(checkpoints=found)


def change(run: Path, how: Callable[[Any], None]) -> None:
    factories.edit(run / "record.json", how)


def graded(space: Workspace) -> tuple[str, str]:
    """The verdict and its reasons."""
    paths = space.config, space.lock, space.load_record, space.runs, [space.comparison]
    content = report.build(evidence.read(*paths, factories.dependencies(space)), ISSUE)
    assert not list(schema.violations(content, schema.REPORT))
    return content["verdict"], "\n".join(content["reasons"])


def test_equal_states_on_the_way_are_reproducible(tmp_path: Path) -> None:
    verdict, reasons = graded(checkpointed(tmp_path))
    assert verdict == "REPRODUCIBLE", reasons


def test_where_it_was_resumed_may_differ(tmp_path: Path) -> None:
    space = checkpointed(tmp_path)
    change(space.runs[1], lambda record: record["checkpoints"].update(resumed=[1]))
    assert graded(space.compare())[0] == "REPRODUCIBLE"


def test_another_state_on_the_way_is_not_reproducible_although_the_end_is_the_same(
    tmp_path: Path,
) -> None:
    space = checkpointed(tmp_path, (FIRST, OTHER))
    verdict, reasons = graded(space)
    assert verdict == "NOT REPRODUCIBLE"
    assert "replica differs from control in checkpoints (after epoch 2)." in reasons
    (run,) = canonical.read_json(space.comparison)["runs"]
    assert run["checkpoints"] == {"identical": False, "epoch": 2}
    assert all(artifact["identical"] for artifact in run["artifacts"])


def forged(space: Workspace) -> None:
    """The states differ; the comparison says otherwise."""
    content = canonical.read_json(space.comparison)
    content["identical"] = content["runs"][0]["identical"] = True
    content["runs"][0]["checkpoints"] = {"identical": True, "epoch": None}
    factories.write_document(space.comparison, content)


def unsaid(space: Workspace) -> None:
    content = canonical.read_json(space.comparison)
    content["identical"] = content["runs"][0]["identical"] = True
    del content["runs"][0]["checkpoints"]
    factories.write_document(space.comparison, content)


def on_both(how: Callable[[Any], None]) -> Callable[[Workspace], None]:
    def harm(space: Workspace) -> None:
        for run in space.runs:
            change(run, how)
        space.compare()

    return harm


def _swap_last(record: Any) -> None:
    digests = [*record["checkpoints"]["digests"][:2], OTHER]
    record["checkpoints"].update(digests=digests, root=states.root(digests))


def _drop_first(record: Any) -> None:
    digests = record["checkpoints"]["digests"][1:]
    record["checkpoints"].update(digests=digests, root=states.root(digests))


HARM: dict[str, tuple[Callable[[Workspace], None], str]] = {
    "forged": (forged, 'replica: checkpoints: expected {"epoch":2,"identical":false}, got {'),
    "unsaid": (unsaid, 'replica: checkpoints: expected {"epoch":2,"identical":false}, got none'),
    "root": (
        on_both(lambda record: record["checkpoints"].update(root="0" * 64)),
        "the root of the checkpoints does not match their digests",
    ),
    "last": (on_both(_swap_last), "the last checkpoint does not match the final state"),
    "fewer": (on_both(_drop_first), "2 checkpoints of 3"),
    "none": (on_both(lambda record: record.update(checkpoints=None)), "no checkpoints"),
}


@pytest.mark.parametrize("harm", HARM)
def test_states_that_do_not_fit_are_inconclusive(tmp_path: Path, harm: str) -> None:
    space = checkpointed(tmp_path, (FIRST, OTHER))
    plant, said = HARM[harm]
    plant(space)
    verdict, reasons = graded(space)
    assert verdict == "INCONCLUSIVE"
    assert said in reasons


@pytest.mark.parametrize(
    ("control", "replica", "expected"),
    [
        (None, None, None),
        (("a", "b"), ("a", "b"), {"identical": True, "epoch": None}),
        (("a", "b"), ("a", "c"), {"identical": False, "epoch": 2}),
        (("a", "b"), ("a",), {"identical": False, "epoch": 2}),
        (("a",), None, {"identical": False, "epoch": 1}),
        ((), None, {"identical": False, "epoch": None}),
    ],
)
def test_the_first_epoch_that_differs_is_named(control: Any, replica: Any, expected: Any) -> None:
    assert states.compare(control, replica) == expected


@pytest.mark.process
def test_the_root_is_what_sha256sum_prints_of_what_it_prints(tmp_path: Path) -> None:
    found = []
    for epoch in range(1, 12):
        folder = tmp_path / states.name(epoch)
        folder.mkdir()
        for part in states.PARTS:
            (folder / f"{part}.safetensors").write_bytes(f"{part} {epoch}".encode())
        parts = {part: files.digest(folder / f"{part}.safetensors") for part in states.PARTS}
        found.append(parts)
    command = "LC_ALL=C; sha256sum */*.safetensors | sha256sum"
    done = subprocess.run(
        ["/bin/bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert states.root(found) == done.stdout.split()[0]


def test_order_number_and_part_count_for_the_root() -> None:
    swapped = FIRST | {"optimizer": "0" * 64}
    many = [[FIRST, SECOND], [SECOND, FIRST], [FIRST], [], [FIRST, SECOND, SECOND], [swapped]]
    assert len({states.root(each) for each in many}) == len(many)
