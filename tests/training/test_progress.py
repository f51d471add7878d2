"""Lines about a training while it lasts: no step that there is not, and the time that is left."""

from types import SimpleNamespace
from typing import Any

import pytest

from samebits.training import task

TF = SimpleNamespace(keras=SimpleNamespace(callbacks=SimpleNamespace(Callback=object)))


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(task, "say", lines.append)
    return lines


def progress(monkeypatch: pytest.MonkeyPatch, epochs: int, count: int | None = None) -> Any:
    """The callback, and a clock that its calls of ``tick`` set."""
    made = task.progress(TF, "control", epochs, count)
    made.params = {"steps": 160}
    made.tick = lambda now: monkeypatch.setattr("time.monotonic", lambda: now)
    made.tick(0.0)
    return made


def test_within_an_epoch_it_says_step_of_steps_and_the_time_left(
    said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = progress(monkeypatch, epochs=2)
    told.on_epoch_begin(0)
    told.tick(20.0)
    told.on_train_batch_end(39)
    told.on_train_batch_end(40)  # not ten seconds later
    told.tick(80.0)
    told.on_epoch_end(0, {"loss": 0.5})
    assert said == [
        "control: epoch 1/2, step 40/160, 2 min 20 s left",
        "control: epoch 1/2, loss 0.5000, 1 min 20 s left",
    ]


def test_no_step_is_said_that_there_is_not(
    said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With steps_per_execution=100 Keras names step 100 of 16."""
    told = progress(monkeypatch, epochs=1)
    told.params = {"steps": 16}
    told.on_epoch_begin(0)
    told.tick(20.0)
    told.on_train_batch_end(99)
    told.params = {}
    told.on_train_batch_end(5)
    assert said == []


def test_the_time_left_is_that_of_the_epochs_that_this_process_trains(
    said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = progress(monkeypatch, epochs=30, count=2)
    told.on_epoch_begin(17)
    told.tick(40.0)
    told.on_epoch_end(17, {})
    told.on_epoch_begin(25)
    told.tick(80.0)
    told.on_epoch_end(25, {})
    assert [line.rpartition(", ")[2] for line in said] == ["40.0 s left", "0.0 s left"]
