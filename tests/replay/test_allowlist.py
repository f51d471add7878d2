"""Which values of a config a certificate may set."""

from typing import Any

import pytest

from samebits.config.overrides import Override
from samebits.replay.allowlist import may_set, program

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


PROGRAM: dict[str, Any] = {"inputs": [], "strict": False, "outputs": None, "packages": None}


@pytest.mark.parametrize(
    ("found", "script"),
    [
        ({"words": ["train.py", "--epochs", "3", "--lr=1e-3"]}, "train.py --epochs 3 --lr=1e-3"),
        ({"words": ["-m", "package.train"]}, "-m package.train"),
        ({"words": ["src/train.py"], "inputs": ["data/a.csv"], "outputs": ["out/*.npy"]}, ""),
        ({"words": ["/bin/sh"]}, None),
        ({"words": ["../train.py"]}, None),
        ({"words": ["train.py", "--out", "/etc/passwd"]}, None),
        ({"words": ["train.py", "../x"]}, None),
        ({"words": ["train.py", "$(id)"]}, None),
        ({"words": ["train.py"], "inputs": ["/etc/shadow"]}, None),
        ({"words": ["train.py"], "inputs": ["../x"]}, None),
        ({"words": ["train.py"], "inputs": [{"url": "http://a", "sha256": "a" * 64}]}, None),
    ],
)
def test_a_certificate_names_a_program_only_below_the_project(
    found: dict[str, Any], script: str | None
) -> None:
    made = {one.key: one.value for one in program(PROGRAM | found, [])}
    assert made.get("script") == (" ".join(found["words"]) if script is not None else None)
    assert ("inputs" in made) == (script is not None)


def test_what_the_user_sets_of_a_program_stays_as_it_is() -> None:
    found = PROGRAM | {"words": ["train.py"], "inputs": ["data"], "strict": True}
    assert [*program(found, ["inputs"])] == [
        Override("script", "train.py"),
        Override("outputs", None),
    ]
    assert Override("inputs", ["data", "strict"]) in [*program(found, [])]
