"""Which rows of a program's trace are saved, of those that its steps have written."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from samebits.formats import arrays
from samebits.program.follow import StepTrace


class Steps:
    """Five calls into a graph, each of four steps, that update one variable."""

    def __init__(self) -> None:
        self.traced = [SimpleNamespace(path="kernel")]
        self.first = {id(self.traced[0]): 7}
        self.step = 0

    def write_compiled(self) -> None:
        pass

    def empty(self) -> Iterator[Any]:
        steps = np.arange(1, self.step + 1, dtype=np.int32)
        yield self.traced, steps, np.zeros((1, self.step), np.int32), 100 + steps[None]


@pytest.mark.parametrize(
    ("every", "kept"),
    [("step", [*range(21)]), ("epoch", [0, 1, 4, 10, 16, 20]), ("off", [0, 1, 4])],
)
def test_rows_are_kept_as_the_config_says_with_those_of_the_canary(
    tmp_path: Path, every: str, kept: list[int]
) -> None:
    steps: Any = Steps()
    trace = StepTrace(steps, every, tmp_path)
    for step in range(4, 21, 4):
        steps.step = step
        trace.ended()
    trace.save(tmp_path / "trace.safetensors", {}, epoch_ends=[10, 16])
    saved = arrays.open_arrays(tmp_path / "trace.safetensors")
    assert saved["step"].tolist() == kept
    assert saved["fingerprint/kernel"].tolist() == [100 + n if n else 7 for n in kept]
    assert trace.lost == 0


def test_where_no_step_was_taken_no_row_is_kept(tmp_path: Path) -> None:
    steps: Any = SimpleNamespace(traced=[], first={}, step=0, empty=lambda: iter(()))
    StepTrace(steps, "off", tmp_path).save(tmp_path / "trace.safetensors", {}, [])
    assert arrays.open_arrays(tmp_path / "trace.safetensors")["step"].size == 0
