"""Composing the experiment: names, digests, and what is refused before any job."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import configure
from refusals import refused
from samebits.config.experiment import GROUPS, default_name
from samebits.config.overrides import Override
from samebits.errors import SamebitsError

CONF = Path(__file__).resolve().parents[2] / "conf"


def of(config: Mapping[str, Any]) -> Any:
    return configure(config, CONF)


def test_without_overrides_the_experiment_is_the_published_one_made_portable() -> None:
    experiment = of({})
    assert experiment.name == "default"
    assert experiment.config["data"]["option"] == "mnist"
    assert experiment.config["trainer"]["epochs"] == 3
    assert experiment.config["determinism"]["option"] == "portable"


BRACES = "{epochs: 5, validation_split: 1e-1}"
WAYS: dict[str, dict[str, Any]] = {
    "--config with braces": {"trainer": BRACES, "model": "{units: 64}"},
    "--config that Snakemake reads as YAML": {
        "trainer": {"epochs": "5", "validation_split": "1e-1"},
        "model": {"units": "64"},
    },
    "a config file": yaml.safe_load(f"trainer: {BRACES}\nmodel: {{units: 64}}"),
    "overrides as text": {
        "overrides": "trainer.epochs=5 trainer.validation_split=1e-1 model.units=64"
    },
    "overrides as a list": {"overrides": ["model.units=64", f"trainer={BRACES}"]},
    "overrides that Snakemake splits at a colon": {
        "overrides": {"trainer={epochs": "5, validation_split: 1e-1}"},
        "model": {"units": 64},
    },
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_overriding_gives_the_same_experiment(way: str) -> None:
    experiment, expected = of(WAYS[way]), of(WAYS["overrides as text"])
    assert experiment.config["trainer"]["epochs"] == 5
    assert experiment.config["trainer"]["validation_split"] == 0.1  # YAML 1.1 reads it as text
    assert experiment.config["model"]["units"] == 64
    assert experiment.digest == expected.digest
    assert experiment.overridden == expected.overridden


@pytest.mark.parametrize(
    "config",
    [
        {"overrides": "environment.DEPTH='2'"},
        {"overrides": "environment={DEPTH: '2'}"},
        {"overrides": "+environment.DEPTH='2'"},
        yaml.safe_load("environment: {DEPTH: '2'}"),
        {"environment": {"DEPTH": "2"}},
    ],
)
def test_a_declared_variable_is_part_of_the_experiment_and_set_before_a_run_starts(
    config: Mapping[str, Any],
) -> None:
    experiment = of(config)
    assert experiment.config["environment"] == {"DEPTH": "2"}
    assert "DEPTH=2" in experiment.variables()
    assert experiment.digest != of({}).digest


@pytest.mark.parametrize(
    "config",
    [
        {"name": "abc\n"},
        {"model": {"_target_": "module.build\n"}},
        {"data": {"option": "npz", "path": "x.npz", "sha256": "a" * 64 + "\n"}},
        {"protocol": {"cpu": {"models": ["Haswell\n"]}}},
        {"determinism": {"environment": {"TF_X\n": "1"}}},
    ],
)
def test_a_value_with_a_line_feed_at_its_end_is_not_taken_for_the_one_without(
    config: Mapping[str, Any],
) -> None:
    with pytest.raises(SamebitsError):
        of(config)


def test_no_pattern_of_the_schema_passes_a_line_feed_at_the_end() -> None:
    """Python's $ matches before one."""
    patterns = re.findall(r'"pattern": "(.*?)"', (CONF / "schema.json").read_text())
    assert [p for p in patterns if p.endswith("$")] == []


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"DEPTH": 2}, "environment.DEPTH: expected text, got 2; quote it"),
        ({"DEPTH": "a\0b"}, "environment.DEPTH"),
        ({"A-B": "2"}, "A-B"),
        ({"DEPTH\n": "2"}, "DEPTH"),
        ({"HOME": "2"}, "environment.HOME: belongs to the system"),
        ({"TF_DETERMINISTIC_OPS": "1"}, "set determinism.environment"),
    ],
)
def test_a_variable_that_cannot_be_declared_is_refused(
    environment: dict[str, Any], said: str
) -> None:
    with refused(said):
        of({"environment": environment})


def test_the_name_comes_from_the_overrides_and_is_not_part_of_the_digest() -> None:
    assert of({"seed": 7, "model": "cnn"}).name == "model=cnn,seed=7"
    assert of({"name": "mine"}).name == "mine"
    assert of({"name": "mine"}).digest == of({}).digest


@pytest.mark.parametrize(
    "config",
    [{"name": 1.1}, {"name": 7}, {"name": True}, {"overrides": "name=1.10"}],
    ids=str,
)
def test_a_name_that_is_a_number_is_refused_since_others_would_share_its_folder(
    config: dict[str, Any],
) -> None:
    with pytest.raises(SamebitsError, match=r"name: .* share its folder.* name='\"(1.1|7|true)\"'"):
        of(config)


@pytest.mark.parametrize("config", [{"name": "1.10"}, {"overrides": 'name="1.10"'}], ids=str)
def test_a_name_in_quotes_is_text_even_where_it_looks_like_a_number(config: dict[str, Any]) -> None:
    assert of(config).name == "1.10"


def test_text_that_looks_like_another_value_does_not_share_its_folder() -> None:
    one, two = Override("model.a", "1"), Override("model.a", 1)
    both, single = [two, Override("model.b", 2)], Override("model.a", "1,model.b=2")
    assert len({default_name(wanted) for wanted in ([one], [two], both, [single])}) == 4
    assert default_name([Override("model.a", "relu")]) == "model.a=relu"


@pytest.mark.parametrize(
    ("script", "title"),
    [
        ("examples/train.py --epochs 3", "train-epochs-3"),
        ("-m package.train --width=64", "package.train-width=64"),
        ("./notebook.ipynb", "notebook"),
        ("'../a b/.x.py' -- /tmp/y", "a-b-.x.py-tmp-y"),
    ],
)
def test_a_name_begins_with_the_program_and_its_words(script: str, title: str) -> None:
    given = [Override("framework", "tf2.8"), Override("script", script)]
    name = default_name(given)
    assert re.fullmatch(re.escape(title) + r",framework=tf2\.8-[0-9a-f]{8}", name)
    elsewhere = [given[0], Override("script", f"other/{script}")]
    assert default_name(elsewhere) != name


def test_a_list_in_a_name_is_its_members() -> None:
    name = default_name([Override("packages", ["scikit-learn", "pandas"])])
    assert re.fullmatch(r"packages=scikit-learn,pandas-[0-9a-f]{8}", name)
    text = Override("packages", "scikit-learn,pandas")
    assert re.fullmatch(r"packages=scikit-learn,pandas-[0-9a-f]{8}", default_name([text]))
    assert default_name([text]) != name


def test_a_name_tells_that_an_environment_was_there_and_not_where() -> None:
    given = [Override("framework", "installed"), Override("python", "/home/me/.venv/bin/python")]
    name = default_name(given)
    assert re.fullmatch(r"framework=installed-[0-9a-f]{8}", name)
    assert default_name([given[0], Override("python", "/elsewhere/python")]) != name


def test_overrides_that_make_no_file_name_give_a_safe_unique_one() -> None:
    names = {of({"data": {"option": "mnist", "file": f}}).name for f in ("/a b/{c}", "/a b/[c]")}
    assert len(names) == 2
    assert not any(set(name) & set("/{}[] ") for name in names)


def test_equal_data_is_shared_between_experiments() -> None:
    assert of({"seed": 2}).data_key == of({"model": "cnn"}).data_key
    assert of({"data": "fashion_mnist"}).data_key != of({}).data_key


def test_an_experiment_file_can_be_overridden() -> None:
    assert of({"experiment": "article"}).config["determinism"]["option"] == "tf28"
    other = of({"experiment": "article", "determinism": "tf21"})
    assert other.config["determinism"]["option"] == "tf21"
    assert other.config["trainer"]["steps_per_execution"] == 1


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"model": "cn"}, ["model=cn", "did you mean cnn?", "valid: cnn, custom, mlp"]),
        ({"modle": "cnn"}, ["modle", "did you mean model?"]),
        ({"trainer": "{epoch: 5}"}, ["trainer.epoch", "did you mean trainer.epochs?"]),
        ({"overrides": "trainer={epoch: 5}"}, ["did you mean trainer.epochs?"]),
        ({"overrides": "trainer.epochs=0"}, ["trainer.epochs", "minimum of 1"]),
        ({"overrides": "trainer.epochs=many"}, ["trainer.epochs", "integer"]),
        ({"overrides": "+trainer.extra=1"}, ["trainer", "extra"]),
        ({"overrides": "+model.extra=1"}, ["model.extra", "input_shape"]),
        ({"overrides": "~trainer.loss"}, ["loss"]),
        ({"framework": "tf2.1"}, ["portable", "2.8", "determinism=tf21"]),
        ({"overrides": "determinism.replacements=[exp]"}, ["replacements", "exp"]),
        ({"threads": 0}, ["threads: 0 is less than the minimum of 1"]),
        ({"threads": "many"}, ["threads: 'many' is not of type"]),
        ({"overrides": "threads=4 determinism.intra_op_threads=2"}, ["the same number; leave one"]),
        ({"threads": 4, "determinism": {"intra_op_threads": None}}, ["intra_op_threads=null"]),
        ({"data": "npz"}, ["data.path"]),
        ({"data": {"option": "npz", "path": "a", "sha256": "0" * 63}}, ["data.sha256"]),
        ({"data": {"option": "npz", "path": "a", "sha256": "a" * 64}}, ["data.shape", "classes"]),
        ({"model": "custom"}, ["model._target_"]),
        ({"model": {"_target_": "absent.module.f"}}, ["absent.module", "source_path"]),
        ({"model": {"_target_": "samebits.models.nil"}}, ["nil", "cnn, mlp"]),
        ({"name": "../up"}, ["name"]),
        ({"seed": -1}, ["seed"]),
        ({"model": "cn", "framework": "tf3"}, ["model=cn", "framework=tf3"]),  # all at once
    ],
)
def test_what_cannot_be_is_refused_with_what_could(config: dict[str, Any], said: list[str]) -> None:
    with refused(*said):
        of(config)


def test_a_users_model_is_found_on_the_source_path(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def net(width=3): ...\n")
    config = {"model": {"_target_": "mine.net", "width": 5}, "source_path": str(tmp_path)}
    experiment = of(config)
    assert experiment.config["model"] == {"_target_": "mine.net", "option": "custom", "width": 5}
    assert experiment.source_files == (str(tmp_path / "mine.py"),)
    assert experiment.digest == of(config | {"source_path": str(tmp_path) + "/."}).digest


def test_an_argument_that_a_users_model_does_not_take_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def net(width, *, depth): ...\n")
    with refused("did you mean width?", "model.depth"):
        of({"model": {"_target_": "mine.net", "widht": 5}, "source_path": str(tmp_path)})


@pytest.mark.parametrize("profile", ["none", "seeds", "tf21", "tf28", "portable", "eigen"])
def test_every_profile_says_what_the_hash_seed_is_before_the_interpreter_starts(
    profile: str,
) -> None:
    (hash_seed,) = [
        v for v in of({"determinism": profile}).variables() if v.startswith("PYTHONHASHSEED=")
    ]
    assert hash_seed == "PYTHONHASHSEED=0"  # where `none` starts to vary it


REPLACED = ["rsqrt", "reciprocal", "erfc", "erfinv", "ndtri", "atan", "atan2", "conv2d", "conv3d"]
OF_THREADS = ["mat_mul", "batch_mat_mul", "einsum"]


@pytest.mark.parametrize(
    ("config", "replacements", "rewriting"),
    [
        ({}, REPLACED, False),
        ({"determinism": "eigen"}, REPLACED, False),
        ({"determinism": {"intra_op_threads": 4}}, REPLACED + OF_THREADS, False),
        ({"determinism": {"replacements": ["einsum"]}}, ["einsum"], False),
        ({"framework": "tf2.8"}, None, None),
        ({"framework": "tf2.8", "determinism": {"replacements": ["erfc"]}}, ["erfc"], None),
        ({"determinism": "tf28", "overrides": "determinism.replacements=[erfc]"}, ["erfc"], None),
        ({"overrides": "framework.tensorflow=2.20.1"}, None, None),
        ({"overrides": "framework.tensorflow=2.100.0"}, REPLACED, False),
    ],
)
def test_ops_are_replaced_where_tensorflow_and_threads_need_it_or_the_user_asks(
    config: dict[str, Any], replacements: list[str] | None, rewriting: bool | None
) -> None:
    profile = of(config).config["determinism"]
    assert (profile["replacements"], profile["rewriting"]) == (replacements, rewriting)


@pytest.mark.parametrize(
    ("config", "same", "threads"),
    [
        ({"threads": 4}, {"overrides": "determinism.intra_op_threads=4"}, 4),
        ({"threads": 1}, {}, 1),
        ({"threads": None}, {}, 1),
        ({"threads": "~"}, {}, 1),
        ({"threads": 4, "overrides": "determinism.intra_op_threads=4"}, {"threads": 4}, 4),
        (
            {"threads": 2, "determinism": "none"},
            {"overrides": "determinism=none determinism.intra_op_threads=2"},
            2,
        ),
    ],
)
def test_threads_is_the_number_of_intra_op_threads_under_every_profile(
    config: dict[str, Any], same: dict[str, Any], threads: int
) -> None:
    experiment = of(config)
    assert experiment.digest == of(same).digest
    assert experiment.config["determinism"]["intra_op_threads"] == threads
    pinned = "determinism.intra_op_threads" in experiment.overridden  # what a replay may set
    assert pinned == (config["threads"] not in (None, "~"))


def test_threads_names_the_folder_and_another_number_is_another_experiment() -> None:
    experiment = of({"threads": 4})
    assert experiment.name == "threads=4"
    assert experiment.command() == "./samebits certificate threads=4"
    assert experiment.digest != of({}).digest


def test_modules_that_a_users_model_imports_are_inputs_of_the_training(tmp_path: Path) -> None:
    package = tmp_path / "mine"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "net.py").write_text("import json\nfrom .parts import block\ndef net(): ...\n")
    (package / "parts.py").write_text("from shared import width\nblock = width\n")
    (tmp_path / "shared.py").write_text("width = 3\n")
    (tmp_path / "other.py").write_text("")
    config = {"model": {"_target_": "mine.net.net"}, "source_path": str(tmp_path)}
    files = {str(Path(file).relative_to(tmp_path)) for file in of(config).source_files}
    assert files == {"mine/net.py", "mine/parts.py", "shared.py"}


OWN = {"model": {"_target_": "examples.iris_like.network", "features": 4, "hidden": 16}}


def test_an_argument_that_a_config_file_gives_the_users_function_is_changed_like_any_value() -> (
    None
):
    assert of(OWN | {"overrides": "model.hidden=8"}).config["model"]["hidden"] == 8
    wrong = OWN | {"overrides": "model.hiden=8"}
    with refused("did you mean model.hidden?", "++model.hiden=8 hands your function one more"):
        of(wrong)


# --- what the user set -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "overridden"),
    [
        ({}, ()),
        ({"model": "cnn", "name": "mine", "source_path": "."}, ()),
        ({"seed": 7, "trainer": "{epochs: 5}"}, ("seed", "trainer.epochs")),
        ({"overrides": "trainer={epochs: 5} model.units=64"}, ("model.units", "trainer.epochs")),
        ({"overrides": "trainer.epochs=3"}, ("trainer.epochs",)),  # what it would have been
        ({"overrides": "trainer.loss={class_name: Hinge}"}, ("trainer.loss",)),
        ({"overrides": "~trainer.loss.config.from_logits"}, ("trainer.loss",)),
        ({"overrides": "+determinism.environment.A=b"}, ("determinism.environment.A",)),
        ({"overrides": "data.shape=[8,8]"}, ("data.shape",)),  # the model's follows
        ({"checkpoint": "epoch"}, ("trainer.checkpoint",)),
        ({"checkpoint": "none"}, ()),
        ({"experiment": "article"}, ("trainer.steps_per_execution",)),
        ({"experiment": "smoke", "seed": 3}, ("data.samples", "seed", "trainer.epochs")),
        ({"experiment": "nondeterministic"}, ()),
    ],
)
def test_the_keys_that_the_user_set_are_named_but_for_the_groups(
    config: dict[str, Any], overridden: tuple[str, ...]
) -> None:
    assert of(config).overridden == overridden


@pytest.mark.parametrize(
    ("config", "checkpoint"),
    [
        ({}, "none"),
        ({"checkpoint": "epoch"}, "epoch"),
        ({"checkpoint": "epoch", "overrides": "trainer.checkpoint=none"}, "none"),
        ({"checkpoint": "epoch", "experiment": "article"}, "none"),
        (
            {
                "checkpoint": "epoch",
                "experiment": "article",
                "overrides": "trainer.checkpoint=epoch",
            },
            "epoch",
        ),
    ],
)
def test_a_profile_can_ask_for_checkpoints_where_nothing_else_says_what_is_wanted(
    config: dict[str, Any], checkpoint: str
) -> None:
    made = of(config)
    assert made.config["trainer"]["checkpoint"] == checkpoint
    by_itself = {k: v for k, v in config.items() if k != "checkpoint" and k != "overrides"}
    same = of({**by_itself, "overrides": f"trainer.checkpoint={checkpoint}"})
    assert made.digest == same.digest


@pytest.mark.parametrize("group", GROUPS)
def test_no_option_at_all_is_refused_with_those_that_there_are(group: str) -> None:
    with pytest.raises(SamebitsError, match=r"no such option; .*valid: "):
        of({group: None})
