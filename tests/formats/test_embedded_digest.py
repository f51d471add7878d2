"""One flipped bit in anything that is certified: never REPRODUCIBLE, and the file is named."""

import random
from pathlib import Path
from typing import Any

import pytest

import factories
from samebits.certificate import evidence, report
from samebits.comparison import runs
from samebits.errors import SamebitsError
from samebits.formats import canonical

_RANDOM = random.SystemRandom()


def verdict(space: factories.Workspace) -> tuple[str, str]:
    """The verdict, and all its reasons."""
    paths = space.config, space.lock, space.load_record, space.runs, [space.comparison]
    issue = report.Issue(
        name="default", issued="2026-11-24T00:00:00Z",
        how_to_repeat=(), overridden=(), keyid=None,
    )  # fmt: skip
    found = report.build(evidence.read(*paths, factories.dependencies(space)), issue)
    return found["verdict"], " ".join(map(str, found["reasons"]))


def documents_of(space: factories.Workspace) -> list[Path]:
    records = [run / "record.json" for run in space.runs]
    return [space.load_record, *records, space.comparison]


@pytest.fixture
def space(tmp_path: Path) -> factories.Workspace:
    return factories.workspace(tmp_path)


def flip(path: Path, bit: int) -> bytes:
    """Flip one bit; returns what was there."""
    before = path.read_bytes()
    data = bytearray(before)
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)
    return before


def test_sound_evidence_is_certified(space: factories.Workspace) -> None:
    assert verdict(space)[0] == "REPRODUCIBLE"


@pytest.mark.parametrize("flips", [5, pytest.param(100, marks=pytest.mark.slow)])
def test_no_flipped_bit_in_a_document_is_certified(space: factories.Workspace, flips: int) -> None:
    documents = [*documents_of(space), space.config, space.runs[1] / "history.json"]
    for path in documents:
        bits = 8 * path.stat().st_size
        for bit in _RANDOM.sample(range(bits), min(flips, bits)):
            before = flip(path, bit)
            assert verdict(space)[0] == "INCONCLUSIVE", f"{path} bit {bit}"
            path.write_bytes(before)


@pytest.mark.parametrize("artifact", ["weights", "optimizer", "trace"])
def test_a_flipped_bit_in_an_array_is_named_with_its_file(
    space: factories.Workspace, artifact: str
) -> None:
    path = space.runs[1] / f"{artifact}.safetensors"
    flip(path, 8 * path.stat().st_size - 3)
    said, reasons = verdict(space)
    assert said == "INCONCLUSIVE"
    assert f"train/{space.runs[1].name}/{artifact}.safetensors" in reasons
    assert str(space.folder) not in reasons  # a certificate names no folder of its machine


def test_a_changed_record_is_not_compared(space: factories.Workspace) -> None:
    path = space.runs[0] / "record.json"
    content: Any = canonical.read_json(path)
    content["process"]["pid"] = 1 + content["process"].get("pid", 1)
    canonical.write_json(path, content)
    with pytest.raises(SamebitsError, match=r"record\.json.*embedded_digest.*delete the folder"):
        runs.read_run(space.runs[0])


def test_a_document_without_one_is_refused() -> None:
    assert "no embedded_digest" in canonical.digest_problem({"format": "x"})
    assert "no embedded_digest" in canonical.digest_problem([])
    assert canonical.digest_problem(canonical.with_digest({"format": "x"})) == ""
    twice = canonical.with_digest(canonical.with_digest({"a": 1}))
    assert twice == canonical.with_digest({"a": 1})
    assert "expected" in canonical.digest_problem(twice | {"a": 2})
