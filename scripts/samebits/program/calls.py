"""What a program asks of its models, fit, evaluate, predict and so on, and what it gets.

Runs on Python 3.7 to 3.13, TensorFlow 2.1 to 2.21.
"""

from __future__ import annotations

import functools
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Callable, Mapping

from samebits.errors import SamebitsError
from samebits.formats import history
from samebits.program.returned import Returned

_ON_BATCH = ("train_on_batch", "test_on_batch", "predict_on_batch")
_ALONE = ("fit", "fit_generator", "evaluate", "evaluate_generator")
_METHODS = (*_ALONE, "predict", "predict_generator", *_ON_BATCH)
_MOST = 200  # calls that are listed each by itself


@dataclass
class Call:
    """One call, or all of one kind of one model, which a loop may make thousands of."""

    n: int  # of the first one, from 1
    what: str
    model: Any
    times: int = 0
    begun: int = 0  # the last step before it
    steps: int = 0
    history: dict[str, list[Any]] = field(default_factory=dict)  # of a fit
    last: dict[str, Any] = field(default_factory=dict)  # metrics
    returned: Returned = field(default_factory=Returned)

    @property
    def is_fit(self) -> bool:
        """Whether it returned a history."""
        return self.what.startswith("fit")

    @property
    def epochs(self) -> int | None:
        """Of a fit: how many."""
        return max(map(len, self.history.values()), default=0) if self.is_fit else None

    def as_json(self, models: Mapping[int, int]) -> dict[str, Any]:
        """The entry in a record. ``models``: their numbers, by identity."""
        found = {name: getattr(self, name) for name in ("n", "what", "times", "epochs", "steps")}
        last = history.to_json({name: [value] for name, value in self.last.items()})["metrics"]
        metrics = {name: values[0] for name, values in last.items()}
        found.update(model=models[id(self.model)], metrics=metrics)
        found["uncompared"] = self.returned.uncompared
        return dict(found, sha256=self.returned.digest().hex())


class Calls:
    """All calls, in their order."""

    def __init__(self, step: Callable[[], int], said: Callable[[Call], None]) -> None:
        """``step``: the number of the last step; ``said``: called with each that has ended."""
        self.made: list[Call] = []
        self._step, self._said, self.count = step, said, 0
        self._merged: dict[tuple[str, int], Call] = {}
        self._depth: Counter[int] = Counter()  # by thread

    def follow(self, model: Any) -> None:
        """Follow the class of all models of a Keras."""
        for name in _METHODS:
            cls = next((cls for cls in model.__mro__ if name in vars(cls)), None)
            if cls is not None:
                setattr(cls, name, self._followed(name, vars(cls)[name]))

    def _followed(self, name: str, method: Any) -> Any:
        @functools.wraps(method)
        def called(model: Any, *args: Any, **options: Any) -> Any:
            thread, earlier = threading.get_ident(), _history(model)
            begun = self._step() if not self._depth[thread] else 0
            returned = None
            self._depth[thread] += 1
            try:
                returned = method(model, *args, **options)
                return returned
            finally:  # an exception may end a program, or the call alone
                self._depth[thread] -= 1
                if not self._depth[thread]:
                    so_far = _history(model) if _history(model) is not earlier else None
                    self._note(name, model, begun, so_far if returned is None else returned)

        return called

    def _note(self, name: str, model: Any, begun: int, returned: Any) -> None:
        self.count += 1
        call = self._call(name, model, begun)
        call.times += 1
        call.steps += self._step() - begun
        if call.is_fit:
            returned = getattr(returned, "history", {})
            call.history = _numbers({str(metric): list(one) for metric, one in returned.items()})
            call.last = {metric: one[-1] for metric, one in call.history.items() if one}
        elif "predict" not in name:
            named = {metric: [value] for metric, value in _named(model, returned).items()}
            call.last = {metric: one[0] for metric, one in _numbers(named).items()}
        call.returned.add(returned)
        self._said(call)

    def _call(self, name: str, model: Any, begun: int) -> Call:
        """Its entry: of its own, unless it is one of many."""
        if name not in _ON_BATCH and len(self.made) < _MOST:
            self.made.append(Call(self.count, name, model, begun=begun))
            return self.made[-1]
        key = name, id(model)
        if key not in self._merged:
            self._merged[key] = Call(self.count, name, model, begun=begun)
            self.made.append(self._merged[key])
        return self._merged[key]


def _named(model: Any, returned: Any) -> dict[str, Any]:
    """What an evaluation or a step on a batch returned, by the names of the metrics."""
    if isinstance(returned, dict):
        return dict(returned)
    values = list(returned) if isinstance(returned, (list, tuple)) else [returned]
    inner = (getattr(metric, "metrics", None) or [metric] for metric in model.metrics)
    names = [str(one.name) for found in inner for one in found]  # of Keras 3
    names = [names, list(model.metrics_names)][len(names) != len(values)]
    return dict(zip(names, values)) if len(names) == len(values) else {}


def _history(model: Any) -> Any:
    """Keras' callback that has the history of the model's last fit, from its first epoch on."""
    return vars(model).get("history")


def _numbers(metrics: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Those that a history can hold; of the rest the digest of what was returned tells."""
    return {name: one for name, one in metrics.items() if _are_numbers(one)}


def _are_numbers(values: list[Any]) -> bool:
    try:
        history.to_json({"": values})
    except SamebitsError:
        return False
    return True
