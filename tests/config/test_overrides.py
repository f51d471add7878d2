"""The same override, whatever way it was given."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from refusals import refused
from samebits.config.experiment import GROUPS
from samebits.config.overrides import Override, from_config, literal, parse, split, typed
from samebits.errors import SamebitsError


def test_a_scalar_and_a_group_become_one_override_each() -> None:
    assert from_config({"seed": 7, "model": "cnn"}, GROUPS) == [
        Override("model", "cnn"),
        Override("seed", 7),
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7),
        ("1e-3", 0.001),
        ("0.5", 0.5),
        ("true", True),
        ("null", None),
        ("adam", "adam"),
        ("[1, 2]", [1, 2]),
        ("~", None),
        ("[~]", "[~]"),
        ("['~', '']", ["~", ""]),
        ("/a b/c's.npz", "/a b/c's.npz"),
        ("1,2", "1,2"),
        ("", ""),
    ],
)
def test_text_is_typed_as_hydra_types_it(text: str, value: object) -> None:
    found = typed(text)
    assert (found, type(found)) == (value, type(value))


def test_a_target_chooses_the_custom_model_and_allows_any_argument() -> None:
    found = from_config({"model": {"_target_": "a.b", "k": 3}}, GROUPS)
    assert [o.hydra() for o in found] == ["model='custom'", "++model._target_='a.b'", "++model.k=3"]


def test_splitting_keeps_quotes_and_brackets_together() -> None:
    text = "a=1  b={c: 2, d: [3, 4]} e='x y'"
    assert split(text) == ["a=1", "b={c: 2, d: [3, 4]}", "e='x y'"]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])),
        lambda inner: st.lists(inner, max_size=3)
        | st.dictionaries(st.from_regex(r"[a-z][a-z_]{0,5}", fullmatch=True), inner, max_size=3),
        max_leaves=6,
    )
)  # fmt: skip
@example("'quoted at the start, a backslash at the end\\")
@example([{"key": "\\'"}])
def test_a_value_reads_back_from_hydras_grammar(value: object) -> None:
    override = Override("trainer.optimizer", value)
    assert parse(override.hydra()) == override


@pytest.mark.parametrize("text", ["a", "a=1,2", "=3", "a=[1"])
def test_what_is_not_an_override_is_refused_by_name(text: str) -> None:
    with pytest.raises(SamebitsError, match="override"):
        from_config({"overrides": [text]}, GROUPS)


def test_all_unreadable_overrides_are_reported() -> None:
    with refused("a=1,2", "'c'"):
        from_config({"overrides": ["a=1,2", "b=3", "c"]}, GROUPS)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_a_value_that_is_not_json_is_refused(value: object) -> None:
    with pytest.raises(SamebitsError, match="expected"):
        literal(value)
