"""All that a program has trained, when it has ended: models, optimizers, variables, calls.

Runs on Python 3.7 to 3.13, TensorFlow 2.1 to 2.21.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, Iterator

import numpy as np

from samebits.formats import arrays, canonical, history
from samebits.formats.arrays import SUFFIX
from samebits.program.calls import Call
from samebits.program.follow import Steps, StepTrace
from samebits.program.hooks import Made
from samebits.training import fingerprint, predictions, record, state, task


class Collected:
    """What was trained, with names that are the same in each run."""

    def __init__(self, made: Made, steps: Steps | None, calls: list[Call]) -> None:
        """``steps``: None where no TensorFlow was imported."""
        self._made, self._calls = made, calls
        self.traced = steps.traced if steps is not None else []
        models = list(self._own_models())
        self.numbers = {id(model): number for number, model in enumerate(models)}
        self._models: dict[str, Any] = {f"{n} {m.name}/": m for n, m in enumerate(models)}
        beside = SimpleNamespace(weights=self.traced)  # what optimizers train outside of models
        self.parts = state.parts_of(
            {**self._models, "": beside}, made.optimizers.values(), made.variables.values()
        )
        self.names = {
            id(held): name
            for part in reversed(list(self.parts.values()))
            for name, variable in part
            for held in state.holders(variable)
        }

    def _own_models(self) -> Iterator[Any]:
        """Those with weights of their own, or that were asked something: no part of another."""
        taken, asked = state.Taken(), {id(call.model) for call in self._calls}
        for model in self._made.models.values():
            own = [weight for weight in state.weights_of(model) if taken.take(weight)]
            if own or id(model) in asked:
                yield model

    def describe(self) -> dict[str, Any]:
        """The parts of the record about models, optimizers and calls."""
        models = [
            {"name": m.name, "class": type(m).__name__, "weights": len(state.weights_of(m))}
            for m in self._models.values()
        ]
        optimizers = [_optimizer(one) for one in self._made.optimizers.values()]
        return {
            "models": models,
            "optimizers": [one for one in optimizers if one["steps"]],
            "calls": [call.as_json(self.numbers) for call in self._calls],
            "untraced": sorted(self._untraced()),
        }

    def _untraced(self) -> Iterator[str]:
        """Trainable variables that changed and that no optimizer was seen to update."""
        traced = {id(held) for variable in self.traced for held in state.holders(variable)}
        for one, variable in self._made.variables.items():
            first = None if one in traced else self._made.first.get(one)
            if first not in (None, fingerprint.of_array(np.asarray(variable.numpy()))):
                yield self.names[one]

    @property
    def epoch_ends(self) -> list[int]:
        """The last steps of epochs, where all of a fit have as many."""
        ends: list[int] = []
        for call in self._calls:
            epochs = call.epochs or 0
            if call.times == 1 and epochs and call.steps % epochs == 0:
                length = call.steps // epochs
                ends += [call.begun + length * n for n in range(1, epochs + 1)]
        return ends

    def write(self, folder: Path, trace: StepTrace, written: task.Named) -> dict[str, Any]:
        """Write the results; returns the parts of the record. ``written``: files, as arrays."""
        values = {part: task.values(variables) for part, variables in self.parts.items()}
        stored = record.write_state(folder, values)
        stored["trace"] = trace.save(folder / f"trace{SUFFIX}", self.names, self.epoch_ends)
        answers = [(self._title(call), _digest(call)) for call in self._calls]
        path = folder / f"{predictions.NAME}{SUFFIX}"
        stored[predictions.NAME] = arrays.write(path, [*answers, *written])
        found = {
            f"{self._title(call)}{_last(call)}: {metric}": values
            for call in self._calls
            for metric, values in call.history.items()
        }
        told = canonical.write_json(folder / "history.json", history.to_json(found))
        nan = record.nan(values["weights"], (np.asarray(v.numpy()) for v in self.traced), trace)
        return dict(record.digests_of(told, stored), nan=nan, trace=trace.describe(self.epoch_ends))

    @staticmethod
    def _title(call: Call) -> str:
        return f"{call.n} {call.what} {call.model.name}"


def _last(call: Call) -> str:
    """Of which of many fits a history is; the digest is of all."""
    return f", the last of {call.times:,}" if call.times > 1 else ""


def _digest(call: Call) -> np.ndarray:
    return np.frombuffer(call.returned.digest(), np.uint8)


def _optimizer(optimizer: Any) -> dict[str, Any]:
    inner = optimizer
    while vars(inner).get("_iterations") is None and hasattr(inner, "inner_optimizer"):
        inner = inner.inner_optimizer
    steps = vars(inner).get("_iterations")
    name = getattr(optimizer, "name", None) or getattr(optimizer, "_name", "")
    return {
        "name": str(name),
        "class": type(optimizer).__name__,
        "steps": 0 if steps is None else int(steps.numpy()),
        "variables": len(state.variables_of(optimizer)),
    }
