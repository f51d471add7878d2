"""Canonical JSON, and files that are whole or absent."""

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from samebits.errors import SamebitsError
from samebits.formats import canonical, files


def test_the_canonical_bytes_are_the_documented_ones() -> None:
    value = {"b": [1, 2.5, -0.0, True, None], "a": {"é": "ü\n"}}
    assert canonical.dumps(value) == '{"a":{"é":"ü\\n"},"b":[1,2.5,-0.0,true,null]}\n'.encode()


def test_a_files_digest_is_what_sha256sum_prints(tmp_path: Path) -> None:
    digest = canonical.write_json(tmp_path / "a.json", {"a": 1})
    assert digest == hashlib.sha256(b'{"a":1}\n').hexdigest() == canonical.digest({"a": 1})
    assert digest == files.digest(tmp_path / "a.json")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_json_has_no_number_for_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical.dumps([value])


@pytest.mark.parametrize(
    "text",
    [b'{"a":1,"a":2}', b"[NaN]", b"[Infinity]", b"{", b"\xff", b"[" * 100_000],
    ids=["key twice", "NaN", "Infinity", "cut off", "not UTF-8", "too deep"],
)
def test_what_is_not_strict_json_is_refused_and_the_file_named(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(text)
    with pytest.raises(SamebitsError, match=r"a\.json: expected valid JSON"):
        canonical.read_json(path)


def test_an_interrupted_write_leaves_what_was_there_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    canonical.write_json(path, "before")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        canonical.write_json(path, "after")
    assert canonical.read_json(path) == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupted_folder_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with files.atomic_folder(path) as folder:
        (folder / "a").write_text("before")
    with pytest.raises(KeyboardInterrupt), files.atomic_folder(path) as folder:
        (folder / "a").write_text("after")
        raise KeyboardInterrupt
    assert (path / "a").read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_list_of_numbers_counts_as_a_third_and_nothing_else_does() -> None:
    def most(value: Any) -> int:
        return canonical.most_values(canonical.dumps(value))

    assert most([-1.5] * 1000) == 335
    others: list[Any] = ["-7", "0", [], {}, None, True]
    for value in others:
        assert most([value] * 1000) >= 1000, value
    assert most({str(number): number for number in range(1000)}) >= 1000
    assert most([",1,1,1"] * 1000) >= 1000, "digits in texts make nothing cheaper"
