"""Sweeps: Hydra's grammar, names, and that composing fast gives what composing slowly gives."""

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hydra
import pytest

from samebits.config.experiment import configure
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
        ("seed=1,2 model=cnn", ["model=cnn,seed=1", "model=cnn,seed=2"]),
        (["model=mlp,cnn", "seed=1"], ["model=mlp,seed=1", "model=cnn,seed=1"]),
        ("model.units=8,16", ["model.units=8", "model.units=16"]),
    ],
)
def test_combinations_are_as_hydra_lists_them(sweep: object, made: list[str]) -> None:
    plan = of(sweep, name="mine")
    assert folders(plan) == made
    assert all(name.startswith("mine/") for name in plan.experiments)


def test_text_in_quotes_stays_text() -> None:
    for sweep in ("trainer.optimizer='1',sgd", "trainer.optimizer=choice('1','sgd')"):
        found = [e.config["trainer"]["optimizer"] for e in of(sweep).experiments.values()]
        assert found == ["1", "sgd"]


def test_the_last_key_varies_fastest() -> None:
    plan = of("seed=0,1 model=mlp,cnn")
    pairs = [(e.config["seed"], e.config["model"][OPTION]) for e in plan.experiments.values()]
    assert pairs == [(0, "mlp"), (0, "cnn"), (1, "mlp"), (1, "cnn")]


def test_a_sweep_is_named_by_what_is_given_and_swept() -> None:
    def name(*sweep: Any, **config: Any) -> str:
        plan = of(*sweep, **config)
        assert plan.sweep
        return plan.sweep.name

    assert name("seed=1,2").startswith("experiment=smoke,sweep=seed-")
    assert len({name("seed=1,2"), name("seed=1,3"), name("seed=1,2", model="cnn")}) == 3
    assert name("seed=1,2") == name(["seed=choice(1, 2)"])
    assert name("seed=1,2", name="mine") == "mine"


def test_an_experiment_that_is_made_twice_is_there_once() -> None:
    plan = of("seed=1,2,1 determinism=tf28 determinism.hash_seed=0,7")
    assert len(plan.experiments) == 4
    assert plan.sweep
    assert plan.sweep.asked == 6
    assert "2 more are the same as one of these" in plan.counted(["load"])


def test_different_experiments_with_one_name_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def net(width): ...\n")
    model = {"model": {"_target_": "mine.net"}, "source_path": str(tmp_path)}
    plan = of("++model.width=1,'1'", **model)
    first, second = folders(plan)
    assert first == "model.width=1"
    assert second.startswith("model.width=1-")


# --- what a combination is -----------------------------------------------------------------------


def test_a_combination_is_the_experiment_that_its_command_makes() -> None:
    plan = of("model=cnn,mlp seed=1,2 trainer.optimizer=sgd,adam", trainer={"epochs": 1}, name="s")
    for made in plan.experiments.values():
        alone = configure({"overrides": " ".join(made.overrides)}, CONF)
        assert alone.config == made.config
        assert (alone.digest, alone.overridden) == (made.digest, made.overridden)
        assert not any("name=" in override for override in made.overrides)


# What is plain, what others are made from, what is nested, and what Hydra must quote.
CHOICES: dict[str, list[str]] = {
    "model": ["mlp", "cnn"],
    "determinism": ["none", "tf28", "portable"],
    "experiment": ["smoke", "nondeterministic"],
    "protocol": ["twice", "varied"],
    "seed": ["0", "1", "4294967295"],
    "trainer.epochs": ["1", "2"],
    "trainer.optimizer": ["adam", "'it\\'s'", "{class_name: SGD}"],
    "trainer.validation_split": ["0", "0.1", "1e-1"],
    "trainer": ["{epochs: 4}", "{batch_size: 8, shuffle: false}"],
    "data": ["synthetic"],
    "data.classes": ["10", "7"],
    "data.shape": ["[28,28]", "[4,4]"],
    "model.units": ["8", "'16'", "null"],
    "determinism.hash_seed": ["null", "3"],
    "+determinism.environment.A": ["b", "'1'"],
    "trace": ["step", "'off'"],
    "source_path": [".", "${oc.env:HOME}", "'a$b'"],
}


@pytest.mark.parametrize(("draws", "size"), [(4, 3), pytest.param(12, 4, marks=pytest.mark.slow)])
def test_composing_fast_gives_what_hydra_gives(
    monkeypatch: pytest.MonkeyPatch, draws: int, size: int
) -> None:
    """Every combination by itself, in a sweep and, with nothing but Hydra, each on its own."""
    draw = random.Random(5)  # noqa: S311
    for _ in range(draws):
        keys = draw.sample(sorted(CHOICES), size)
        picked = {key: draw.sample(CHOICES[key], min(2, len(CHOICES[key]))) for key in keys}
        sweep = [f"{key}={','.join(values)}" for key, values in picked.items()]
        fast = outcome({"sweep": sweep})
        with monkeypatch.context() as patch:
            patch.setattr("samebits.config.compose.Composer._is_plain", lambda *_: False)
            patch.setattr("samebits.config.compose.Composer._is_valid", lambda *_: False)
            slow = outcome({"sweep": sweep})
        assert fast == slow, sweep


def outcome(config: Mapping[str, Any]) -> object:
    try:
        made = plans.plan(config, CONF).experiments
    except SamebitsError as error:
        return str(error)
    return {name: (json.dumps(e.config), e.overridden, e.data_key) for name, e in made.items()}


def test_the_schema_judges_each_part_by_itself() -> None:
    """Else what was valid in one config might not be in another; see Composer.violations."""
    schema = json.loads((CONF / "schema.json").read_text())
    plain = {"$schema", "title", "$defs", "type", "additionalProperties", "required", "properties"}
    assert set(schema) == plain


def test_hydra_is_asked_once_per_choice_of_options(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def counting(*arguments: Any, **options: Any) -> Any:
        asked.append(arguments)
        return hydra.compose(*arguments, **options)

    monkeypatch.setattr("samebits.config.compose.compose", counting)
    assert len(of("model=mlp,cnn seed=range(0,200)").experiments) == 400
    assert len(asked) <= 4  # with the experiment, and the options alone


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sweep", "said"),
    [
        ("", ["expected KEY=VALUE,VALUE"]),
        ("seed=1,2 model=cn,mlp", ["did you mean cnn?", "model=cn,seed=1 and 1 more"]),
        ("trainer.epoch=1,2", ["did you mean trainer.epochs?", "in all 2 combinations"]),
        ("seed=range(-1,2)", ["minimum of 0", "in the combination seed=-1"]),
        ("seed=1,2 seed=3", ["seed is given twice"]),
        ("experiment=article,smoke", ["experiment is given twice"]),
        ("seed=interval(0,1)", ["range or choice"]),
        ("determinism=glob(x*)", ["valid: exact, none, portable, seeds, tf21, tf28"]),
        ("seed=1, model=[", ["expected KEY=VALUE,VALUE", "model=["]),
        ("name=a,b", ["name is for all combinations"]),
        ("signing=none,local", ["signing is for all combinations"]),
        ("signing.key=a,b", ["signing is for all combinations"]),
        ("certificate=a,b", ["certificate is for all combinations"]),
        ("seed=range(0,100000000)", ["at most 10,000 combinations"]),
        ("seed=range(0,1000) trainer.epochs=range(1,1000)", ["999,000 or more"]),
        (7, ["sweep: expected text"]),
        ("framework=tf2.1,tf2.21", ["determinism=tf21", "in the combination framework=tf2.1)"]),
    ],
)
def test_what_cannot_be_is_refused_with_the_combination(sweep: object, said: list[str]) -> None:
    with pytest.raises(SamebitsError) as caught:
        of(sweep)
    for part in said:
        assert part in str(caught.value)


def test_all_problems_of_all_combinations_are_reported_at_once() -> None:
    with pytest.raises(SamebitsError) as caught:
        of("model=mlp,cn determinism=tf28,tf29 seed=1,-1")
    for part in ("model=cn:", "determinism=tf29:", "seed: -1"):
        assert part in str(caught.value)


def test_a_certificate_is_not_replayed_in_a_sweep() -> None:
    with pytest.raises(SamebitsError, match="leave out sweep or certificate"):
        of("seed=1,2", certificate="certificate.json")


# --- what is said --------------------------------------------------------------------------------


def test_what_a_sweep_is_is_said_in_numbers() -> None:
    plan = of("determinism=tf21,none framework=tf2.1,tf2.21 data.seed=1,2", name="mine")
    said = plan.counted(["load", "compare", "certify"])
    assert said.startswith("sweep mine: 8 combinations, 16 trainings (up to ")
    assert said.endswith("where bits differ), 2 data sets, 5 environments")


def test_the_list_names_each_certificate_from_where_it_lies() -> None:
    listed = of("seed=1,2", name="mine").listed(certificate="c.json")
    assert (listed["name"], listed["keys"]) == ("mine", ["seed"])
    assert [made["certificate"] for made in listed["combinations"]] == [
        "seed=1/c.json",
        "seed=2/c.json",
    ]


def test_values_in_a_mapping_are_swept_by_their_own_keys() -> None:
    plan = of("trainer={epochs: 1},{epochs: 2}")
    assert plan.sweep
    assert plan.sweep.keys == ("trainer.epochs",)
    assert [e.config["trainer"]["epochs"] for e in plan.experiments.values()] == [1, 2]
