"""Sweeps: Hydra's grammar, names, and that composing fast gives what composing slowly gives."""

import json
import random
import re
from pathlib import Path
from typing import Any

import hydra
import pytest
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pipeline import configure
from refusals import refused
from samebits.config import compose, overrides
from samebits.config.experiment import GROUPS, composing
from samebits.config.overrides import OPTION
from samebits.errors import SamebitsError
from samebits.workflow import plan as plans
from samebits.workflow.plan import Plan

CONF = Path(__file__).resolve().parents[2] / "conf"
SMOKE = {"experiment": "smoke"}


def of(sweep: Any, **config: Any) -> Plan:
    return plans.plan(SMOKE | config | {"sweep": sweep}, CONF)


def folders(plan: Plan) -> list[str]:
    return [name.rpartition("/")[2] for name in plan.experiments]


def test_without_a_sweep_there_is_one_experiment_with_the_name_that_it_has_alone() -> None:
    for config in ({"seed": 7}, {"seed": 7, "sweep": None}):
        plan = plans.plan(config, CONF)
        assert list(plan.experiments) == ["seed=7"]
        assert plan.sweep is None
        assert plan.first == configure({"seed": 7}, CONF)


@pytest.mark.parametrize(
    ("sweep", "made"),
    [
        ("model=mlp,cnn", ["model=mlp", "model=cnn"]),
        ("seed=range(0,3)", ["seed=0", "seed=1", "seed=2"]),
        ("seed=choice(3,1)", ["seed=3", "seed=1"]),
        ("seed=sort(3,1)", ["seed=1", "seed=3"]),
        ("seed=shuffle(range(0,3))", ["seed=0", "seed=1", "seed=2"]),  # the same at each start
        ("determinism=glob(tf*)", ["determinism=tf21", "determinism=tf28"]),
        ("seed=1,2 model=cnn", ["model=cnn_seed=1", "model=cnn_seed=2"]),
        (["model=mlp,cnn", "seed=1"], ["model=mlp_seed=1", "model=cnn_seed=1"]),
        ("model.units=8,16", ["model.units=8", "model.units=16"]),
    ],
)
def test_combinations_are_as_hydra_lists_them(sweep: object, made: list[str]) -> None:
    plan = of(sweep, name="mine")
    assert folders(plan) == made
    assert all(name.startswith("mine/") for name in plan.experiments)


def test_text_in_quotes_stays_text() -> None:
    for sweep in ("+environment.A='1',b", "+environment.A=choice('1','b')"):
        found = [e.config["environment"]["A"] for e in of(sweep).experiments.values()]
        assert found == ["1", "b"]


def test_the_last_key_varies_fastest() -> None:
    plan = of("seed=0,1 model=mlp,cnn")
    pairs = [(e.config["seed"], e.config["model"][OPTION]) for e in plan.experiments.values()]
    assert pairs == [(0, "mlp"), (0, "cnn"), (1, "mlp"), (1, "cnn")]


def test_a_sweep_is_named_by_what_is_given_and_swept() -> None:
    def name(*sweep: Any, **config: Any) -> str:
        plan = of(*sweep, **config)
        assert plan.sweep
        return plan.sweep.name

    assert name("seed=1,2") == "experiment=smoke_sweep_seed=1-2"
    assert name("model=mlp,cnn seed=2", name=None) == "experiment=smoke_sweep_model=mlp-cnn_seed=2"
    assert len({name("seed=1,2"), name("seed=1,3"), name("seed=1,2", model="cnn")}) == 3
    assert name("seed=1,2") == name(["seed=choice(1, 2)"])
    assert name("seed=1,2", name="mine") == "mine"


TYPED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=-]*", re.ASCII)
SAME_TEXT = (
    "++environment.A=a-b,c",
    "++environment.A=a,b-c",
    "++environment.A=a,b,c",
    "++environment.A='1',b",
    "++environment.A='a=b',b",
    "++environment.A='a b',b",
    "++environment.A='a+b',b",
    "++environment.A='a,b',b",
    "++environment.A='\u00e4',b",
    f"++environment.A=b,{'x' * 200}",
    f"++environment.A=b,{'x' * 201}",
    "trainer.optimizer={class_name: SGD},adam",
    "trainer.optimizer={class_name: Adam},adam",
    "seed=range(0,30)",
    "seed=range(0,31)",
)


def test_a_person_can_type_every_folder_of_a_sweep_and_no_two_are_the_same() -> None:
    swept = [of(text) for text in SAME_TEXT]
    names = [plan.name for plan in swept]
    assert names == [of(text).name for text in SAME_TEXT]
    assert len(set(names)) == len(SAME_TEXT)
    for plan in swept:
        assert len(set(folders(plan))) == len(plan.experiments)
        for name in (plan.name, *folders(plan)):
            assert TYPED.fullmatch(name)
            assert len(name) <= len("experiment=smoke_sweep_") + 60


def test_an_experiment_that_is_made_twice_is_there_once() -> None:
    plan = of("seed=1,2,1 determinism=tf28 determinism.hash_seed=0,7")
    assert len(plan.experiments) == 4
    assert plan.sweep
    assert plan.sweep.asked == 6
    assert "combinations: 4 (6 with repeats)" in plan.announced(["load"])[0]


def test_different_experiments_with_one_name_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def net(width): ...\n")
    model = {"model": {"_target_": "mine.net"}, "source_path": str(tmp_path)}
    plan = of("++model.width=1,'1'", **model)
    first, second = folders(plan)
    assert first == "model.width=1"
    assert re.fullmatch(r"model\.width=-1-[0-9a-f]{8}", second)


# --- what a combination is -----------------------------------------------------------------------


def test_a_combination_is_the_experiment_that_its_command_makes() -> None:
    plan = of("model=cnn,mlp seed=1,2 trainer.optimizer=sgd,adam", trainer={"epochs": 1}, name="s")
    for made in plan.experiments.values():
        alone = configure({"overrides": " ".join(made.overrides)}, CONF)
        assert alone.config == made.config
        assert (alone.digest, alone.overridden) == (made.digest, made.overridden)
        assert not any("name=" in override for override in made.overrides)


# Plain values, those that other values are made from, nested ones, and text that must be quoted.
CHOICES: dict[str, list[str]] = {
    "model": ["mlp", "cnn"],
    "determinism": ["none", "tf28", "portable"],
    "experiment": ["smoke", "nondeterministic"],
    "protocol": ["twice", "varied"],
    "data": ["synthetic"],
    "seed": ["0", "1", "4294967295"],
    "trainer.epochs": ["1", "2"],
    "trainer.optimizer": ["adam", "'it\\'s'", "{class_name: SGD}", "null"],
    "trainer.loss": ["null", "x"],
    "trainer.validation_split": ["0", "0.1", "1e-1"],
    "trainer": ["{epochs: 4}", "{batch_size: 8, shuffle: false}"],
    "data.classes": ["10", "7", "${seed}"],
    "data.shape": ["[28,28]", "[4,4]", "[]"],
    "model.units": ["8", "'16'", "null", "${data.classes}"],
    "++model.more": ["1", "[a,b]", "{a: 1}", "${model.units}"],
    "++model.more.x": ["1"],
    "determinism.hash_seed": ["null", "3"],
    "+determinism.environment.A": ["b", "'1'"],
    "++determinism.environment.A": ["c", "{a: {b: 2}}"],
    "trace": ["step", "'off'", "???"],
    "name": ["a", "null"],
    "source_path": [".", "${oc.env:HOME}", "'a$b'", "'a\\\\b'"],
}


@pytest.mark.parametrize("draws", [8, pytest.param(300, marks=pytest.mark.slow)])
def test_every_set_of_overrides_is_composed_as_hydra_composes_it(draws: int) -> None:
    draw = random.Random(5)  # noqa: S311
    with composing(CONF) as composer:
        for _ in range(draws):
            keys = draw.sample(sorted(CHOICES), draw.randint(1, 6))
            texts = [f"{key}={draw.choice(CHOICES[key])}" for key in keys]
            wanted = [overrides.parse(text) for text in texts]
            expected = by_hydra([override.hydra() for override in wanted])
            try:
                got: Any = composer.resolve(wanted)
            except SamebitsError:
                got = None
            assert json.dumps(got, sort_keys=True) == json.dumps(expected, sort_keys=True), texts


def by_hydra(texts: list[str]) -> Any:
    """The resolved config, each group with its option; None where Hydra refuses."""
    try:
        composed = hydra.compose("config", texts, return_hydra_config=True)
        names = [str(key) for key in composed if key != "hydra"]
        node = OmegaConf.masked_copy(composed, names)
        plain: Any = OmegaConf.to_container(node, resolve=True, throw_on_missing=True)
    except (HydraException, OmegaConfBaseException):
        return None
    chosen = composed.hydra.runtime.choices
    return {
        key: value | {OPTION: chosen[key]} if key in GROUPS else value
        for key, value in plain.items()
    }


def test_a_value_that_one_experiment_sets_is_in_no_other() -> None:
    """Parts of the config are shared between the experiments of a sweep."""
    with composing(CONF) as composer:
        first = [overrides.parse("trainer.epochs=7"), overrides.parse("data.classes=4")]
        changed = composer.resolve(first)
        assert composer.resolve([]) == by_hydra([])
        assert composer.resolve(first) is changed
        assert (changed["trainer"]["epochs"], changed["model"]["classes"]) == (7, 4)


def test_the_schema_judges_each_part_by_itself() -> None:
    """Else what was valid in one config might not be in another; see Composer.violations."""
    schema = json.loads((CONF / "schema.json").read_text())
    plain = {"$schema", "title", "$defs", "type", "additionalProperties", "required", "properties"}
    assert set(schema) == plain


def test_hydra_is_asked_once_per_choice_of_options(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, merged = [], compose._merged

    def counting(*overrides: str) -> Any:
        asked.append(overrides)
        return merged(*overrides)

    monkeypatch.setattr(compose, "_merged", counting)
    assert len(of("model=mlp,cnn seed=range(0,20)").experiments) == 40
    assert 2 <= len(asked) <= 4  # with the experiment, and the options alone


def test_the_values_of_a_sweep_come_after_those_of_a_config_file() -> None:
    own = {
        "model": {"_target_": "examples.iris_like.network", "features": 4, "hidden": 16},
        "seed": 9,
    }
    plan = of("model.hidden=8,32 seed=1,2", **own)
    assert plan.name.endswith("_sweep_model.hidden=8-32_seed=1-2") and "seed=9" not in plan.name
    made = [
        (one.config["model"]["hidden"], one.config["seed"]) for one in plan.experiments.values()
    ]
    assert made == [(8, 1), (8, 2), (32, 1), (32, 2)]


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sweep", "said"),
    [
        ("", ["expected KEY=VALUE,VALUE"]),
        ("seed=1,2 model=cn,mlp", ["did you mean cnn?", "model=cn_seed=1 and 1 more"]),
        ("trainer.epoch=1,2", ["did you mean trainer.epochs?", "in all 2 combinations"]),
        ("seed=range(-1,2)", ["minimum of 0", "in the combination seed=-1"]),
        ("seed=1,2 seed=3", ["seed is given twice"]),
        ("experiment=article,smoke", ["experiment is given twice"]),
        ("seed=interval(0,1)", ["range or choice"]),
        ("determinism=glob(x*)", ["valid: eigen, none, portable, seeds, tf21, tf28"]),
        ("seed=1, model=[", ["expected KEY=VALUE,VALUE", "model=["]),
        ("name=a,b", ["name applies to all combinations"]),
        ("signing=none,local", ["signing applies to all combinations"]),
        ("certificate=a,b", ["certificate applies to all combinations"]),
        ("seed=range(0,100000000)", ["at most 10,000 combinations"]),
        ("seed=range(0,1000) trainer.epochs=range(1,1000)", ["999,000 or more"]),
        (7, ["sweep: expected text"]),
        ("framework=tf2.1,tf2.21", ["determinism=tf21", "in the combination framework=tf2.1)"]),
        (  # all at once
            "model=mlp,cn determinism=tf28,tf29 seed=1,-1",
            ["model=cn:", "determinism=tf29:", "seed: -1"],
        ),
    ],
)
def test_what_cannot_be_is_refused_with_the_combination(sweep: object, said: list[str]) -> None:
    with refused(*said):
        of(sweep)


def test_a_certificate_is_not_replayed_in_a_sweep() -> None:
    with pytest.raises(SamebitsError, match="leave out sweep, or certificate and against"):
        of("seed=1,2", certificate="certificate.json")


# --- what is said --------------------------------------------------------------------------------


def test_what_a_sweep_is_is_said_in_numbers() -> None:
    plan = of("determinism=tf21,none framework=tf2.1,tf2.21 data.seed=1,2", name="mine")
    (said,) = plan.announced(["load", "compare", "certify"])
    assert said.startswith("sweep mine: combinations: 8, trainings: 16 (up to ")
    assert said.endswith("where bits differ or runs leave files), data sets: 2, environments: 5")


def test_the_list_names_the_folder_of_each_certificate() -> None:
    listed = of("seed=1,2", name="mine").listed
    assert (listed["name"], listed["keys"]) == ("mine", ("seed",))
    assert [made["name"] for made in listed["combinations"]] == ["seed=1", "seed=2"]


def test_values_in_a_mapping_are_swept_by_their_own_keys() -> None:
    plan = of("trainer={epochs: 1},{epochs: 2}")
    assert plan.sweep
    assert plan.sweep.keys == ("trainer.epochs",)
    assert [e.config["trainer"]["epochs"] for e in plan.experiments.values()] == [1, 2]
