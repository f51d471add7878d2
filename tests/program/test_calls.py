"""What is noted of the calls of a model: also of one that an exception ends."""

from types import SimpleNamespace
from typing import Any

import pytest

from samebits.program.calls import Call, Calls


class Model:
    """As far as it is followed, like one of Keras'."""

    name, metrics, metrics_names = "m", (), ()

    def fit(self, epochs: list[dict[str, Any]], end: BaseException | None = None) -> Any:
        kept: dict[str, Any] = {}
        for epoch in epochs:
            for name, value in epoch.items():
                kept.setdefault(name, []).append(value)
            self.history = SimpleNamespace(history=kept)
        if end is not None:
            raise end
        return self.history

    def evaluate(self, value: Any) -> Any:
        return value


@pytest.fixture
def calls() -> Any:
    """What was made of the calls of a class of its own, and that class."""
    followed = type("Followed", (Model,), dict(vars(Model)))
    found = Calls(lambda: 0, lambda call: None)
    found.follow(followed)
    return found, followed


def described(call: Call) -> dict[str, Any]:
    return call.as_json({id(call.model): 0})


def test_a_fit_that_is_cut_short_has_the_history_of_its_epochs(calls: Any) -> None:
    made, model = calls[0].made, calls[1]()
    model.fit([{"loss": 3.0}])
    for epochs in ([{"loss": 2.0}, {"loss": 1.0}], []):
        with pytest.raises(SystemExit):
            model.fit(epochs, SystemExit())
    assert [call.history for call in made] == [{"loss": [3.0]}, {"loss": [2.0, 1.0]}, {}]
    assert [described(call)["epochs"] for call in made] == [1, 2, 0]


def test_metrics_that_are_no_numbers_are_left_to_the_digest(calls: Any) -> None:
    made, model = calls[0].made, calls[1]()
    model.fit([{"loss": 1.0, "note": "warm"}])
    model.fit([{"loss": 1.0, "note": "cold"}])
    model.evaluate({"loss": 0.5, "rows": [[1], [2, 3]]})
    warm, cold, asked = map(described, made)
    assert warm["metrics"] == cold["metrics"] == {"loss": 1.0}
    assert warm["sha256"] != cold["sha256"]
    assert asked["metrics"] == {"loss": 0.5} and asked["uncompared"] == []


def test_of_many_fits_all_are_in_the_digest_and_the_last_one_is_the_history(calls: Any) -> None:
    first, model = calls[0], calls[1]()
    for number in range(202):
        model.fit([{"loss": float(number)}])
    last = first.made[-1]
    assert (last.n, last.times, last.history) == (201, 2, {"loss": [201.0]})
    before = last.returned.digest()
    model.fit([{"loss": 201.0}])
    assert last.times == 3 and last.returned.digest() != before
