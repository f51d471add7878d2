"""Values as people type them: the same by every road, or refused with what to write."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from samebits.config import typed
from samebits.config.experiment import Experiment
from samebits.errors import SamebitsError
from samebits.workflow import words
from samebits.workflow.plan import plan

CONF = Path(__file__).resolve().parents[2] / "conf"
REFUSED = None


def configure(config: dict[str, Any], conf: Path) -> Experiment:
    """The experiment of a config whose values are typed already."""
    return plan(config, conf).first


def by_config(folder: Path, key: str, text: str) -> dict[str, Any]:
    top, _, rest = key.partition(".")
    return typed.config({}, [], [f"{top}={{{rest}: {text}}}" if rest else f"{key}={text}"])


def by_file(folder: Path, key: str, text: str) -> dict[str, Any]:
    top, _, rest = key.partition(".")
    file = folder / "mine.yaml"
    file.write_text(f"{top}:\n  {rest}: {text}\n" if rest else f"{top}: {text}\n")
    return typed.config({}, [file], None)


def by_overrides(folder: Path, key: str, text: str) -> dict[str, Any]:
    return typed.config({}, [], [f"overrides={key}={text}"])


def by_overrides_in_a_file(folder: Path, key: str, text: str) -> dict[str, Any]:
    file = folder / "mine.yaml"
    file.write_text(f"overrides:\n  - |-\n    {key}={text}\n")
    return typed.config({}, [file], [])


def by_a_word(folder: Path, key: str, text: str) -> dict[str, Any]:
    line = words.told_apart([f"{key}={text}"]).snakemake()
    return typed.config({}, [], line[1:])


ROADS: list[Callable[[Path, str, str], dict[str, Any]]]
ROADS = [by_config, by_file, by_overrides, by_overrides_in_a_file, by_a_word]

# A key, what a person types, and the value, or REFUSED and a part of the message.
TYPED: list[tuple[str, str, Any, str]] = [
    ("seed", "7", 7, ""),
    ("seed", "1_000", 1000, ""),
    ("seed", "012", REFUSED, "seed: '012' is not of type 'integer'; write 12"),
    ("seed", "0x10", REFUSED, "seed: '0x10' is not of type 'integer'"),
    ("seed", "1:30", REFUSED, "seed: '1:30' is not of type 'integer'"),
    ("seed", "1e3", REFUSED, "seed: 1000.0 is not of type 'integer'; write 1000"),
    ("seed", "'5'", REFUSED, "seed: '5' is not of type 'integer'; write 5"),
    ("seed", '"5"', REFUSED, "seed: '5' is not of type 'integer'; write 5"),
    ("seed", "''", REFUSED, "seed: '' is not of type 'integer'"),
    ("seed", "", REFUSED, "seed: None is not of type 'integer'"),
    ("seed", "~", REFUSED, "seed: None is not of type 'integer'"),
    ("seed", "null", REFUSED, "seed: None is not of type 'integer'"),
    ("seed", "true", REFUSED, "seed: True is not of type 'integer'"),
    ("seed", "nan", REFUSED, "got nan"),
    ("seed", "[1]", REFUSED, "seed: [1] is not of type 'integer'"),
    ("trace", "off", "off", ""),
    ("trace", "'off'", "off", ""),
    ("trace", "no", REFUSED, "trace: 'no' is not one of ['step', 'epoch', 'off']"),
    ("trainer.epochs", "2.0", REFUSED, "trainer.epochs: 2.0 is not of type 'integer'; write 2"),
    ("trainer.batch_size", "32.0", REFUSED, "is not of type 'integer'; write 32"),
    ("trainer.shuffle", "True", True, ""),
    ("trainer.shuffle", "yes", REFUSED, "'yes' is not of type 'boolean'; write true"),
    ("trainer.shuffle", "'true'", REFUSED, "'true' is not of type 'boolean'; write true"),
    ("trainer.validation_split", ".1", 0.1, ""),
    ("trainer.validation_split", "1e-1", 0.1, ""),
    ("trainer.validation_split", "20%", REFUSED, "'20%' is not of type 'number'"),
    ("trainer.metrics", "[mse, mae]", ["mse", "mae"], ""),
    ("trainer.metrics", "mse", REFUSED, "'mse' is not of type 'array'"),
    ("name", "1.10", REFUSED, "name: 1.1 is not text"),
    ("name", "'1.10'", "1.10", ""),
    ("name", "2026-01-02", "2026-01-02", ""),
    ("name", "~", "default", ""),
    ("name", "", "default", ""),
    ("name", "''", REFUSED, "name: '' does not match"),
    ("determinism", "[portable]", REFUSED, "no such option; did you mean portable?"),
    ("determinism", "null", REFUSED, "determinism=null: no such option"),
    ("determinism", "true", REFUSED, "determinism=true: no such option"),
    ("source_path", "/mine/größe", "/mine/größe", ""),
    ("source_path", "/mine/it's a b/größe", "/mine/it's a b/größe", ""),
    ("source_path", "'/mine/a b'", "/mine/a b", ""),
    ("source_path", '"/mine/it\'s"', "/mine/it's", ""),
    ("source_path", '"/mine/it\'s a b/größe"', "/mine/it's a b/größe", ""),
    ("source_path", "${seed}", REFUSED, "source_path: 1 is not of type 'string'"),
    ("seed", "${none}", REFUSED, "Interpolation key 'none' not found"),
    ("unknown", "1", REFUSED, "unknown: no such key"),
]


def value(made: Experiment, key: str) -> Any:
    if key in ("name", "source_path"):
        return getattr(made, key)
    found: Any = made.config
    for part in key.split("."):
        found = found[part]
    return found


@pytest.mark.parametrize(("key", "text", "expected", "said"), TYPED)
def test_a_value_is_the_same_by_every_road_or_refused_by_every_road(
    tmp_path: Path, key: str, text: str, expected: Any, said: str
) -> None:
    for road in ROADS:
        config = road(tmp_path, key, text)
        if expected is REFUSED:
            with pytest.raises(SamebitsError) as raised:
                configure(config, CONF)
            assert said in str(raised.value), road.__name__
        else:
            found = value(configure(config, CONF), key)
            assert (found, type(found)) == (expected, type(expected)), road.__name__


ADVICE = {
    "trainer.optimizer.learning_rate=0.1": {
        "class_name": "adam",
        "config": {"learning_rate": 0.1},
    },
    "trainer.optimizer=sgd trainer.optimizer.config.momentum=0.9": {
        "class_name": "sgd",
        "config": {"momentum": 0.9},
    },
    "trainer.loss.from_logits=false": {
        "class_name": "SparseCategoricalCrossentropy",
        "config": {"from_logits": False},
    },
    "trainer.epochs.x=4": 4,
    "trainer.metrics.0=mse": ["mse"],
}


@pytest.mark.parametrize("text", ADVICE)
def test_advice_for_a_key_below_a_value_works_when_it_is_followed(text: str) -> None:
    with pytest.raises(SamebitsError) as raised:
        configure({"overrides": text}, CONF)
    advice = str(raised.value).partition(": ")[2].partition(": ")[2]
    made = configure({"overrides": advice}, CONF)
    key = advice.partition("=")[0]
    assert value(made, key) == ADVICE[text]


def test_a_file_keeps_anchors_and_merge_keys_and_the_command_line_wins(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "base: &base {epochs: 2, batch_size: 8}\ntrainer:\n  <<: *base\n  epochs: 5\nseed:\n"
    )
    (tmp_path / "b.yaml").write_text("trainer: {shuffle: false}\nother: ~\n")
    files = [tmp_path / "a.yaml", tmp_path / "b.yaml"]
    found = typed.config({"kept": 1, "seed": 2}, files, ["seed=7", "overrides=a='x y'"])
    assert found["trainer"] == {"epochs": 5, "batch_size": 8, "shuffle": False}
    assert (found["seed"], found["kept"], found["other"]) == (7, 1, None)
    assert found["overrides"] == "a='x y'"


@pytest.mark.parametrize("text", ["{epochs:5}", "{epochs: 5}", "{'epochs': 5}", "epochs: 5"])
def test_a_mapping_behind_config_may_be_hydras_or_yaml(text: str) -> None:
    assert typed.config({}, [], [f"trainer={text}"]) == {"trainer": {"epochs": 5}}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"seed: [1\n", "cannot be read as YAML"),
        (b"\tseed: 1\n", "cannot be read as YAML"),
        (b"? [1, 2]\n: 3\n", "cannot be read as YAML"),
        (b"seed: 1\n---\nseed: 2\n", "cannot be read as YAML"),
        ("name: größe\n".encode("latin-1"), "cannot be read as YAML in UTF-8"),
        ("seed: 1\n".encode("utf-16"), "cannot be read as YAML in UTF-8"),
        (b"- seed\n", "expected keys with values"),
        (b"seed\n", "expected keys with values"),
        (b"x: " + b"[" * 9999, "nested too deeply"),
    ],
)
def test_a_file_that_is_no_config_is_refused_by_name(
    tmp_path: Path, content: bytes, said: str
) -> None:
    (tmp_path / "a.yaml").write_bytes(content)
    with pytest.raises(SamebitsError, match=rf"a\.yaml: {said}"):
        typed.config({}, [tmp_path / "a.yaml"], None)


MODEL = "model: {_target_: examples.iris_like.network, features: 4, hidden: "


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1: 2", "1: no such key"),
        ("null: 2", "null: no such key|None: no such key"),
        (MODEL + "1" * 5000 + "}", "Exceeds the limit"),
        (MODEL + '"\\ud800"}', "expected null, a boolean"),
        (MODEL + ".nan}", "got nan"),
        (MODEL + "-.INF}", "got -inf"),
        ('source_path: "a\\0b"', "expected null, a boolean"),
        ("trainer: {batch_size: 9223372036854775808}", "greater than the maximum"),
        ("trainer: {epochs: 123456789012345678901234567890}", "greater than the maximum"),
    ],
)
def test_what_no_program_can_use_is_refused_with_a_reason(
    tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(SamebitsError, match=said):
        configure(typed.config({}, [tmp_path / "a.yaml"], None), CONF)


@pytest.mark.parametrize(
    "text",
    [
        "seed: 1\nname: x\nseed: 2\n",
        "trainer:\n  epochs: 1\n  epochs: 1\n",
        "trainer: {epochs: 1}\nseed: 1\ntrainer: {shuffle: false}\n",
    ],
)
def test_a_key_that_is_given_twice_in_a_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(SamebitsError, match="is given twice, first in line"):
        typed.config({}, [tmp_path / "a.yaml"], None)


KEYS = sorted({key for key, *_ in TYPED} | {"data", "model", "trainer", "protocol", "data.shape"})
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12)
WORDS = st.sampled_from([*"'\"[]{},:=~+$.\\ 0123456789eE_-#&*!|>%@`aä", "off", "null", "true"])


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@example("determinism", "[portable]")
@example("trainer.optimizer", "{class_name: }")
@given(st.sampled_from(KEYS), TEXTS | st.lists(WORDS, max_size=8).map("".join))
def test_whatever_is_typed_is_taken_or_refused_with_a_reason(
    tmp_path: Path, key: str, text: str
) -> None:
    for road in ROADS:
        try:
            configure(road(tmp_path, key, text), CONF)
        except SamebitsError as error:
            assert str(error).strip(" :")
