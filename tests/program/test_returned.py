"""The digest of what a call returned: equal only where every bit is, and what has none is named."""

import subprocess
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from pipeline import SCRIPTS, Workspace, skip_without
from samebits.program.returned import Returned

PAYLOAD = np.array([0x7FF8000000000001], np.uint64).view(np.float64)
FIELDS = np.dtype([("a", "u1"), ("b", "f8")], align=True)


def objects(*values: Any) -> np.ndarray:
    array = np.empty(len(values), object)
    array[:] = values
    return array


def padded(filler: int) -> np.ndarray:
    array = np.full(2 * FIELDS.itemsize, filler, np.uint8).view(FIELDS)
    array["a"], array["b"] = 1, 2
    return array


def digest(value: Any) -> bytes:
    found = Returned()
    found.add(value)
    assert found.uncompared == []
    return found.digest()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (0.0, -0.0),
        (float("nan"), float(PAYLOAD[0])),
        (objects(np.nan), objects(PAYLOAD[0])),
        (1, 1.0),
        (1, True),
        (np.float32(1), np.float64(1)),
        (np.zeros(2, "<i4"), np.zeros(2, "<u4")),
        (np.zeros((2, 3)), np.zeros((3, 2))),
        (np.zeros(0), np.zeros((0, 3))),
        ("a", b"a"),
        ("1", 1),
        (None, "None"),
        ([1, 2], (1, 2)),
        ([[1], [2]], [[1, 2]]),
        ([{}, 1], [{"": 1}]),
        ({"a": {"b": 1}, "c": 2}, {"a": {"b": 1, "c": 2}}),
        ({1: 2}, {"1": 2}),
        ({"a", "b"}, {"a", "c"}),
        (["ab", "c"], ["a", "bc"]),
        (objects(np.zeros(2), "x"), objects(np.ones(2), "x")),
        (objects({"a": 1}), objects({"a": 2})),
        (objects(2**80), objects(2**80 + 1)),
        (np.ma.masked_equal([1, 2], 1), np.ma.masked_equal([1, 2], 2)),
        (np.datetime64(0, "s"), np.datetime64(0, "D")),
    ],
)
def test_two_values_that_differ_in_anything_have_two_digests(one: Any, other: Any) -> None:
    assert digest(one) != digest(other)
    assert digest([one, 0]) != digest([other, 0])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"a", "b", "c"}, {"c", "b", "a"}),
        (np.arange(6).reshape(2, 3).T, np.arange(6).reshape(2, 3).T.copy()),
        (objects([np.ones(2)]), objects([np.ones(2)])),
        (padded(0), padded(7)),
    ],
)
def test_an_order_or_place_that_is_no_value_does_not_count(one: Any, other: Any) -> None:
    assert digest(one) == digest(other)


def test_all_that_was_returned_counts_and_in_which_order() -> None:
    first, second = Returned(), Returned()
    for found, values in ((first, (1, 2)), (second, (2, 1))):
        for value in values:
            found.add(value)
    assert first.digest() != second.digest()


class Own:
    """Of a program."""


def generator() -> Iterator[int]:
    yield 1


ITSELF: list[Any] = []
ITSELF.append(ITSELF)


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (Own(), "(Own)"),
        (generator(), "(generator)"),
        ({"scores": [1, Own()]}, "['scores'][1] (Own)"),
        (objects(1, Own()), "[1] (Own)"),
        ({Own(): 1}, "[…] (Own)"),
        (ITSELF, "[0] (list)"),
        (range(3), "(range)"),
    ],
)
def test_what_has_no_value_to_compare_is_named(value: Any, named: str) -> None:
    found = Returned()
    for _ in range(2):
        found.add(value)
    assert found.uncompared == [named]


_TENSORS = """
import numpy as np, tensorflow as tf
from samebits.program.returned import Returned
def add(value):
    found = Returned()
    found.add(value)
    return found.digest(), found.uncompared
def pair(one, other):
    assert add(one) != add(other), (one, other)
    assert add(one)[1] == add(other)[1] == [], add(one)
def sparse(*values, at=2):
    return tf.sparse.SparseTensor([[0, 1], [1, at]], list(values), [2, 4])
pair(tf.constant([0.0]), tf.constant([-0.0]))
pair(tf.constant([1], tf.int32), tf.constant([1], tf.int64))
pair(tf.constant(["a", "b"]), tf.constant(["ab", ""]))
pair(tf.constant("a"), tf.constant("b"))
pair(tf.ragged.constant([[1, 2], [3]]), tf.ragged.constant([[1], [2, 3]]))
pair(tf.ragged.constant([[1.0], []]), tf.ragged.constant([[1.0], []], tf.float64))
pair(tf.ragged.constant([["a"], []]), tf.ragged.constant([["b"], []]))
pair(sparse(1, 2), sparse(1, 3))
pair(sparse(1, 2), sparse(1, 2, at=3))
pair(tf.Variable([1.0]), tf.Variable([2.0]))
pair(tf.IndexedSlices(tf.ones(1), tf.constant([0])), tf.IndexedSlices(tf.ones(1), tf.constant([1])))
assert add(sparse(1, 2)) == add(sparse(1, 2))
assert add(tf.data.Dataset.range(3))[1], "a data set"
with tf.Graph().as_default():
    assert add(tf.constant(1))[1] and add(sparse(1, 2))[1], "of a graph"
"""


@pytest.mark.parametrize(
    "framework", ["tf2.21", *(pytest.param(f"tf2.{n}", marks=pytest.mark.slow) for n in (8, 1))]
)
def test_tensors_of_every_kind_are_compared_by_their_parts(
    workspace: Workspace, framework: str
) -> None:
    skip_without("3.11" if framework == "tf2.21" else "3.7")
    line = [str(workspace.python(f"train-{framework}")), "-c", _TENSORS]
    done = subprocess.run(
        line, env={"PYTHONPATH": str(SCRIPTS)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
