"""One op of the battery, and how a line of a table becomes one.

A line names a computation and its inputs. float32 is computed on several sets of shapes, which
are odd enough to leave a remainder after any vector width; those of reductions and contractions are
large enough to be split among threads. Runs on Python 3.7 to 3.13.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterator, Sequence, Tuple

Shape = Tuple[int, ...]
Shapes = Sequence[Sequence[Shape]]  # sets of shapes, each with one per input
Make = Callable[..., Any]
Table = Dict[str, Tuple[str, Make]]  # name -> ranges of the inputs, the computation
Shaped = Dict[str, Tuple[str, Make, Shapes]]  # the same, and on which sets of shapes

FLOATS = ("float32", "float64", "bfloat16")
NO_BFLOAT16 = ("float32", "float64")


@dataclass(frozen=True)
class Input:
    """One argument: values of a range (see battery.py), and its shape."""

    values: str
    shape: Shape


@dataclass(frozen=True)
class Operation:
    """One op on one set of shapes; ``make`` gets the inputs as tensors."""

    name: str
    group: str
    make: Make
    inputs: tuple[Input, ...]
    dtypes: tuple[str, ...]


def rows(
    group: str, table: Table, shapes: Shapes, dtypes: Sequence[str] = FLOATS
) -> Iterator[Operation]:
    """One Operation per line and set of shapes.

    float32 has all sets of shapes; other dtypes, whose kernels share its source, the last set.
    """
    for name, (ranges, make) in table.items():
        for chosen in shapes:
            inputs = tuple(map(Input, ranges.split(), chosen))
            kept = [dtype for dtype in dtypes if dtype == FLOATS[0] or chosen is shapes[-1]]
            yield Operation(name, group, make, inputs, tuple(kept))


def shaped_rows(group: str, table: Shaped) -> Iterator[Operation]:
    """The same for a table whose lines have shapes of their own."""
    for name, (ranges, make, shapes) in table.items():
        yield from rows(group, {name: (ranges, make)}, shapes)


def named(module: Any, ranges: str, names: str) -> Table:
    """Functions of a module, each in a row of its own name."""
    return {name: (ranges, getattr(module, name)) for name in names.split()}


def like(tf: Any, x: Any, value: float) -> Any:
    """A number in the dtype of a tensor."""
    return tf.constant(value, x.dtype)
