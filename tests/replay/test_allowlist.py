"""Which values of a config a certificate may set."""

import pytest

from samebits.replay.allowlist import may_set

OBJECTS = ("trainer.optimizer", "trainer.loss", "trainer.metrics")
WORDS = ("model.weights", "seed", "trainer.epochs")


def wrapped(key: str, value: object) -> object:
    return [value] if key == "trainer.metrics" else value


@pytest.mark.parametrize("key", ["_partial_", "_args_", "_recursive_", "_convert_", "option.x"])
def test_keys_that_steer_hydra_are_never_set(key: str) -> None:
    assert not may_set(f"model.{key}", True)


@pytest.mark.parametrize("value", ["adam", "SGD", {"class_name": "SGD", "config": {"rate": 0.1}}])
def test_an_object_of_keras_is_a_name_or_a_class_with_numbers_and_words(value: object) -> None:
    assert all(may_set(key, wrapped(key, value)) for key in OBJECTS)


@pytest.mark.parametrize(
    "value",
    [
        {"class_name": "SGD", "module": "os"},
        {"class_name": "SGD", "registered_name": "x"},
        {"class_name": "__lambda__", "config": {"value": "x"}},
        {"class_name": "os.system"},
        {"class_name": "a>b"},
        {"class_name": 3},
        {"config": {}},
        {},
        {"class_name": "SGD", "config": {"learning_rate": {"class_name": "X", "module": "m"}}},
        {"class_name": "SGD", "config": {"fn": ["x"]}},
        {"class_name": "SGD", "config": {"fn": "a.b"}},
        {"class_name": "SGD", "config": {"__class__": 1}},
        {"class_name": "SGD", "config": "x"},
        {"class_name": "SGD", "config": None},
        "os.system",
        "a b",
        "",
        None,
        3,
        ["adam"],
    ],
)
def test_no_object_is_set_that_keras_could_import_a_module_for(value: object) -> None:
    assert not any(may_set(key, wrapped(key, value)) for key in OBJECTS)


@pytest.mark.parametrize("value", [0, 1.5, None, True, "word", "w-1", [1, "a", None], [1] * 64])
def test_numbers_words_and_short_lists_of_them_are_set(value: object) -> None:
    assert all(may_set(key, value) for key in WORDS)


@pytest.mark.parametrize(
    "value",
    [
        *("http://a/b", "/etc/passwd", "a.b", "..", "", "a,b", "a b", "${seed}", "???", "é"),
        *("x" * 65, {"a": 1}, [["a"]], [{"a": 1}], ["a/b"], [1] * 65),
    ],
)
def test_no_path_address_interpolation_or_nested_value_is_set(value: object) -> None:
    assert not any(may_set(key, value) for key in WORDS)


@pytest.mark.parametrize(
    ("value", "allowed"),
    [(None, True), ({"ulp": 4}, True), ({"ulp": "x"}, False), ([1], False), (4, False)],
)
def test_a_tolerance_is_numbers_by_name(value: object, allowed: bool) -> None:
    assert may_set("protocol.tolerance", value) is allowed
