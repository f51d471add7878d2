"""What a program asks of its models, fit, evaluate, predict and so on, and what it gets.

Runs on Python 3.7 to 3.13, TensorFlow 2.1 to 2.21.
"""

from __future__ import annotations

import functools
import hashlib
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Callable, Mapping

import numpy as np

from samebits.formats import history

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
    returned: Any = field(default_factory=hashlib.sha256)

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
        return dict(found, sha256=self.returned.hexdigest())


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
            thread = threading.get_ident()
            begun = self._step() if not self._depth[thread] else 0
            self._depth[thread] += 1
            try:
                returned = method(model, *args, **options)
            finally:
                self._depth[thread] -= 1
            if not self._depth[thread]:
                self._note(name, model, begun, returned)
            return returned

        return called

    def _note(self, name: str, model: Any, begun: int, returned: Any) -> None:
        self.count += 1
        call = self._call(name, model, begun)
        call.times += 1
        call.steps += self._step() - begun
        value = getattr(returned, "history", returned)
        if call.is_fit:
            call.history = {str(metric): list(values) for metric, values in value.items()}
            call.last = {metric: one[-1] for metric, one in call.history.items() if one}
        elif "predict" not in name:
            call.last = _named(model, returned)
        add(call.returned, value)
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


def add(sha: Any, value: Any) -> None:
    """Add what a call returned to a digest: names, dtypes, shapes and bytes."""
    if isinstance(value, dict):
        for key in sorted(value, key=str):
            sha.update(f"{key}:".encode())
            add(sha, value[key])
    elif isinstance(value, (list, tuple)):
        sha.update(f"{len(value)}[".encode())
        for one in value:
            add(sha, one)
    elif hasattr(value, "to_list"):  # ragged
        add(sha, value.to_list())
    else:
        array = np.asarray(value)
        sha.update(f"{array.dtype.str}{array.shape}".encode())
        sha.update(_bytes(array))


def _bytes(array: np.ndarray) -> bytes:
    """Of an array; of objects those of their names: their own may have addresses."""
    if not array.dtype.hasobject:
        return array.tobytes()
    plain = (str, bytes, int, float, type(None))
    return repr([x if isinstance(x, plain) else type(x) for x in array.reshape(-1)]).encode()
