"""Histories read back with all their bits."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samebits.errors import SamebitsError
from samebits.formats import canonical, files, history


def from_bits(bits: int) -> float:
    return float(struct.unpack(">d", bits.to_bytes(8, "big"))[0])


def bits_of(value: float) -> bytes:
    return struct.pack(">d", value)


@given(st.lists(st.integers(0, 2**64 - 1)))
def test_every_float_reads_back_exactly(bits: Any) -> None:
    values = [from_bits(b) for b in bits]
    read = history.from_json(canonical.loads(canonical.dumps(history.to_json({"loss": values}))))
    assert [bits_of(v) for v in read["loss"]] == [bits_of(v) for v in values]


def test_a_metric_that_is_an_array_becomes_one_metric_for_each_element() -> None:
    values = {"f1": [np.array([0.5, 0.25]), np.array([1.0, 0.75])], "loss": [np.float32(2), 1]}
    assert history.from_json(history.to_json(values)) == {
        "f1[0]": [0.5, 1.0],
        "f1[1]": [0.25, 0.75],
        "loss": [2.0, 1.0],
    }


@pytest.mark.parametrize("value", ["text", {"a": 1.0}, None, np.array(b"text", object)])
def test_a_metric_that_is_no_number_is_refused_by_name(value: Any) -> None:
    with pytest.raises(SamebitsError, match="metric note: expected a number"):
        history.numbers({"note": value})


def digest(values: dict[str, list[float]]) -> str:
    return canonical.digest(history.to_json(values))


def test_the_payload_of_a_nan_counts() -> None:
    quiet, payload = from_bits(0x7FF8000000000000), from_bits(0x7FF8000000000001)
    assert digest({"loss": [quiet]}) != digest({"loss": [payload]})


def test_the_sign_of_zero_counts() -> None:
    assert digest({"loss": [0.0]}) != digest({"loss": [-0.0]})


def test_the_order_in_which_metrics_come_does_not_count() -> None:
    one, other = {"a": [1.0], "b": [2.0]}, {"b": [2.0], "a": [1.0]}
    assert digest(one) == digest(other)


def test_the_digest_is_that_of_the_file(tmp_path: Path) -> None:
    expected = "831a39f4551c40ff57a7e1b3e9a88f51a5a20e8cccd27e5cdb18792d006650f8"
    assert digest({"loss": [0.5, 0.25]}) == expected
    canonical.write_json(tmp_path / "history.json", history.to_json({"loss": [0.5, 0.25]}))
    assert files.digest(tmp_path / "history.json") == expected
    assert history.read(tmp_path / "history.json") == {"loss": [0.5, 0.25]}


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"format": "samebits-history-2", "metrics": {}},
        {"format": "samebits-history-1", "metrics": {"loss": ["0.5"]}},
        {"format": "samebits-history-1", "metrics": {"loss": [True]}},
        {"format": "samebits-history-1", "metrics": {"loss": [1]}},
        {"format": "samebits-history-1", "metrics": {"loss": [{"float64": "3ff0000000000000"}]}},
        {"format": "samebits-history-1", "metrics": {}, "more": 1},
        {"format": "samebits-history-1", "metrics": {"loss": [{"float64": "7ff8"}]}},
    ],
)
def test_what_is_not_a_history_is_refused_and_the_file_named(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "history.json"
    canonical.write_json(path, content)
    with pytest.raises(SamebitsError, match=r"history\.json: expected"):
        history.read(path)
