"""A certificate's experiment, composed from this checkout, and what a certificate may not do."""

import copy
import hashlib
import os
import shutil
import subprocess
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import certificates
import factories
import samebits.config.experiment
from prefixes import Prefix
from samebits.config import sources
from samebits.config.compose import Composer
from samebits.config.experiment import PARTS, Experiment, LocalExperiment
from samebits.config.keys import WHOLE, differences, units
from samebits.config.overrides import Override
from samebits.errors import SamebitsError
from samebits.formats import bundle, canonical, files, states
from samebits.formats.names import MOST_BYTES
from samebits.replay.plan import require_elsewhere
from samebits.workflow import plan
from samebits.workflow.plan import Plan
from wheels import wheel

ROOT = Path(__file__).resolve().parents[2]
CONF, SCRIPTS, ENVS = ROOT / "conf", ROOT / "scripts", ROOT / "envs"

Content = dict[str, Any]
HOSTILE = "evil.module.f"


def of(config: Mapping[str, Any]) -> Experiment:
    return plan.plan(config, CONF).first


def issued(config: Mapping[str, Any], *modules: Path) -> Content:
    """The certificate of an experiment that this checkout ran; ``modules``: the user's modules."""
    experiment = of(config)
    made = certificates.reproducible()
    made["experiment"] = {
        "name": experiment.name,
        "digest": experiment.digest,
        "config": experiment.config,
        "overridden": list(experiment.overridden),
    }
    environment = experiment.config["framework"]["environment"]
    lock = ENVS / f"{environment}.lock.txt"
    made["lock"] = {"name": f"envs/{lock.name}", "text": lock.read_text(encoding="utf-8")}
    control = made["records"]["runs"]["control"]
    control["lock"] = files.digest(lock)
    control["files"] = copy.deepcopy(factories.NO_FILES)
    control["source"] = _source(modules or (SCRIPTS / "samebits" / "models.py",))
    made["dependencies"] = [
        {"name": f"envs/{path.name}", "sha256": files.digest(path)}
        for path in (lock, ENVS / f"{environment}.linux-64.pin.txt", ENVS / "load.lock.txt")
    ]
    content: Content = certificates.unsigned(made)
    return content


def _source(modules: tuple[Path, ...]) -> list[dict[str, str]]:
    """As a run records the modules that it imported."""
    found = {}
    for path in (*sources.closure(SCRIPTS / "train.py", SCRIPTS), *modules):
        inside = path.relative_to(SCRIPTS) if SCRIPTS in path.parents else Path(path.name)
        name = ".".join(inside.with_suffix("").parts).removesuffix(".__init__")
        file = f"scripts/{inside}" if SCRIPTS in path.parents else str(inside)
        found["__main__" if name == "train" else name] = file, files.digest(path)
    return [
        {"module": name, "path": found[name][0], "sha256": found[name][1]} for name in sorted(found)
    ]


def write(folder: Path, content: Any) -> Path:
    path = folder / "certificate.json"
    canonical.write_json(path, content)
    return path


def planned(folder: Path, content: Any, **more: Any) -> Plan:
    return plan.plan({"certificate": str(write(folder, content)), **more}, CONF)


def replayed(folder: Path, content: Any, **more: Any) -> Experiment:
    return planned(folder, content, **more).first


def refused(folder: Path, content: Any, **more: Any) -> list[str]:
    """The lines of the refusal, without the one that names the file."""
    with pytest.raises(SamebitsError) as caught:
        replayed(folder, content, **more)
    first, *lines = str(caught.value).splitlines()
    assert str(folder) in first
    assert lines == sorted(lines)
    return lines


def edited(content: Content, values: Mapping[str, Any], listed: bool = True) -> Content:
    """The certificate with other values at dotted keys, and a digest that fits.

    ``listed``: as if its issuer had set them.
    """
    made = copy.deepcopy(content)
    experiment = made["report"]["experiment"]
    for key, value in values.items():
        *above, last = key.split(".")
        node = experiment["config"]
        for part in above:
            node = node.setdefault(part, {})
        node[last] = value
    experiment["digest"] = canonical.digest(experiment["config"])
    experiment["overridden"] = sorted(values) if listed else []
    return made


@pytest.fixture(scope="module")
def default() -> Content:
    return issued({})


@pytest.fixture(autouse=True)
def _composed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hydra needs a quarter of a second, and most certificates here name the same options."""

    def local(wanted: list[Override], composer: Composer) -> LocalExperiment:
        said = tuple(override.hydra() for override in wanted)
        if said not in _COMPOSED:
            _COMPOSED[said] = _LOCAL(wanted, composer)
        return _COMPOSED[said]

    monkeypatch.setattr(samebits.config.experiment, "local", local)


_LOCAL = samebits.config.experiment.local
_COMPOSED: dict[tuple[str, ...], LocalExperiment] = {}


# --- what is taken -----------------------------------------------------------------------------


@pytest.mark.process
@pytest.mark.parametrize(
    "config",
    [
        {},
        {"overrides": "trainer.epochs=5"},
        {"seed": 7, "trace": "off", "model": "cnn", "data": "fashion_mnist"},
        {"model": {"option": "cnn", "units": 64, "dropout": 0.5}, "protocol": "twice"},
        {"experiment": "smoke"},
        {"experiment": "article", "determinism": "tf21", "framework": "tf2.1"},
        {"data": {"option": "synthetic", "shape": [8, 8], "classes": 3, "samples": 64}},
        {"overrides": "trainer.optimizer={class_name: SGD, config: {learning_rate: 1e-1}}"},
        {"overrides": "trainer.loss=null trainer.loss={class_name: Hinge,config:{name: l}}"},
        {"overrides": "trainer.metrics=[accuracy,{class_name: AUC, config: {num_thresholds: 9}}]"},
        {"overrides": "trainer.validation_split=1e-5 data.scale=255 trainer.shuffle=false"},
        {"overrides": "protocol.tolerance={absolute: 1e-6, ulp: 4} protocol.cpu.models=[EPYC]"},
        {"overrides": "determinism.onednn=null determinism.isa=SSE41 determinism.hash_seed=null"},
    ],
)
def test_what_an_issuer_set_by_numbers_and_words_is_taken_and_gives_the_same_experiment(
    config: Mapping[str, Any], tmp_path: Path
) -> None:
    content = issued(config)
    experiment, original = replayed(tmp_path, content), content["report"]["experiment"]
    assert experiment.digest == original["digest"]
    assert experiment.config == original["config"]


@pytest.mark.process
def test_the_command_of_a_replay_makes_the_experiment_without_the_certificate(
    tmp_path: Path,
) -> None:
    content = issued({"experiment": "smoke", "overrides": "trainer.loss={class_name: Hinge}"})
    experiment = replayed(tmp_path, content)
    again = of({"overrides": list(experiment.overrides)})
    assert (again.digest, again.data_key) == (experiment.digest, experiment.data_key)
    assert again.overridden == experiment.overridden


@pytest.mark.process
def test_a_replay_is_named_by_the_certificates_digest_and_says_what_it_repeats(
    tmp_path: Path, default: Content
) -> None:
    made = planned(tmp_path, default)
    digest = hashlib.sha256(canonical.dumps(default)).hexdigest()
    assert made.name == f"replay-{digest[:12]}"
    assert made.replay is not None
    assert made.replay.path == tmp_path / "certificate.json"
    assert made.replay.digest == digest
    (note,) = made.replay.notes
    assert note.startswith(f"the certificate's commit, {'c' * 40}, is not in this checkout; only ")
    assert made.announced([]) == [f"note: {note}"]
    assert replayed(tmp_path, default, name="mine").name == "mine"
    assert plan.plan({}, CONF).replay is None
    assert plan.plan({"certificate": None}, CONF).replay is None


@pytest.mark.process
def test_a_bundle_gives_the_same_replay_as_its_certificate(
    tmp_path: Path, default: Content
) -> None:
    path = tmp_path / "certificate.zip"
    bundle.write(path, {"certificate.json": write(tmp_path, default)})
    by_bundle, by_file = of({"certificate": str(path)}), replayed(tmp_path, default)
    assert (by_bundle.name, by_bundle.digest) == (by_file.name, by_file.digest)


@pytest.mark.process
def test_the_users_own_overrides_win_and_are_compared_with_the_certificate(tmp_path: Path) -> None:
    content = issued({"overrides": "trainer.epochs=5"})
    assert (
        replayed(tmp_path, content, overrides="trainer.epochs=5").config["trainer"]["epochs"] == 5
    )
    (line,) = refused(tmp_path, content, overrides="trainer.epochs=7")
    assert line == "trainer.epochs: the certificate has 5, this checkout 7"
    assert refused(tmp_path, content, model="cnn")[0].startswith("model._target_: ")


@pytest.mark.process
@pytest.mark.parametrize("issuers", [{}, {"checkpoint": "epoch"}, {"experiment": "article"}])
@pytest.mark.parametrize("profiles", ["none", "epoch"])
def test_a_profile_that_asks_for_checkpoints_changes_no_replay(
    tmp_path: Path, issuers: dict[str, str], profiles: str
) -> None:
    content = issued(issuers)
    made = replayed(tmp_path, content, checkpoint=profiles)
    assert made.digest == content["report"]["experiment"]["digest"]


def test_a_wrong_override_of_the_users_own_is_explained_as_ever(
    tmp_path: Path, default: Content
) -> None:
    with pytest.raises(SamebitsError, match=r"did you mean trainer\.epochs"):
        replayed(tmp_path, default, overrides="trainer.epoch=5")


# --- code that a certificate names -------------------------------------------------------------


@pytest.fixture
def own_model(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """A user's model, and the config that names it."""
    path = tmp_path / "src" / "mine.py"
    path.parent.mkdir()
    path.write_text("def net(width=3, **more): ...\n")
    model = {"_target_": "mine.net", "width": 5}
    return path, {"model": model, "source_path": str(path.parent)}


@pytest.mark.process
def test_a_function_runs_only_when_the_user_names_it(
    tmp_path: Path, own_model: tuple[Path, dict[str, Any]]
) -> None:
    path, config = own_model
    content, where = issued(config, path), {"source_path": str(path.parent)}
    lines = refused(tmp_path, content, **where)
    assert any(line.startswith('model._target_: the certificate has "mine.net"') for line in lines)
    assert any("allow=MODULE.FUNCTION" in line for line in lines)
    for named in ({"allow": "mine.net"}, {"model": {"_target_": "mine.net"}}):
        experiment = replayed(tmp_path, content, **where, **named)
        assert experiment.digest == of(config).digest
        assert experiment.source_files == (str(path),)


@pytest.mark.parametrize("allow", ["mine.ne", "mine.net2", "mine", "Mine.net", "", "*", "mine.*"])
def test_only_the_exact_function_is_allowed(
    allow: str, tmp_path: Path, own_model: tuple[Path, dict[str, Any]]
) -> None:
    path, config = own_model
    lines = refused(tmp_path, issued(config, path), source_path=str(path.parent), allow=allow)
    assert any(line.startswith("model._target_: ") for line in lines)


@pytest.mark.parametrize("listed", [False, True])
def test_a_target_of_the_certificates_is_refused_whatever_it_says(
    listed: bool, tmp_path: Path, default: Content
) -> None:
    for model in ("mlp", "custom"):
        values = {"model.option": model, "model._target_": HOSTILE}
        lines = refused(tmp_path, edited(default, values, listed))
        start = f'model._target_: the certificate has "{HOSTILE}"'
        assert any(line.startswith(start) for line in lines)


# --- every leaf of the config ------------------------------------------------------------------

# Together they have every option, except those that only a user's own files complete.
EXPERIMENTS: list[dict[str, Any]] = [
    {},
    {"data": "fashion_mnist", "model": "cnn", "determinism": "tf28", "protocol": "twice"}
    | {"framework": "tf2.8"},
    {"data": "synthetic", "determinism": "tf21", "framework": "tf2.1", "protocol": "exhaustive"},
    {"determinism": "none", "framework": "tf2.21-gpu"},
    {"determinism": "seeds", "protocol": "nodes"},
    {"determinism": "eigen"},
    {"threads": 4},
]
# Values that follow from another key.
_THAT_FOLLOW = ["model.input_shape", "model.classes"]
_THAT_FOLLOW += ["determinism.replacements", "determinism.intra_op_threads"]
NEVER = ("framework.", "determinism.environment.", "data.files.", "data.sha256.")
NEVER_KEYS = {
    "determinism.environment",
    "model._target_",
    "determinism.minimum_tensorflow",
    *(f"data.{key}" for key in ("file", "urls", "package", "debian")),
}
every_experiment = pytest.mark.parametrize("config", EXPERIMENTS, ids=range(len(EXPERIMENTS)))


def leaves(config: Mapping[str, Any]) -> dict[str, Any]:
    """Every key with its value, except the options, which are looked up first."""
    found = {}
    for key in units([], config):
        value: Any = config
        for part in key.split("."):
            value = value[part]
        found[key] = value
    return {key: v for key, v in found.items() if not key.endswith(".option") and key != "format"}


def is_never_set(key: str) -> bool:
    return key.startswith(NEVER) or key in NEVER_KEYS


def other(value: Any) -> Any:
    """Another value of the same type."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return value + "x"
        case list():
            return [*value, *value[:1]] or ["x"]
        case dict():
            return {**value, "X": "1"}
    return {"absolute": 1e-6, "ulp": None}  # null: a tolerance's form, another type elsewhere


def named(lines: list[str]) -> set[str]:
    """The keys that a refusal names."""
    return {line.partition(": ")[0] for line in lines}


def test_the_experiments_below_have_every_option() -> None:
    used = [of(config).config for config in EXPERIMENTS]
    for group in PARTS:
        options = {path.stem for path in (CONF / group).glob("*.yaml")} - {
            "npz",
            "custom",
            "installed",
        }
        assert options == {config[group]["option"] for config in used}


@pytest.mark.parametrize("listed", [False, True])
@every_experiment
def test_each_leaf_must_be_what_the_checkout_has_unless_the_issuer_may_set_it(
    config: dict[str, Any], listed: bool, tmp_path: Path
) -> None:
    """Code, files, addresses and the environment are never taken."""
    content = issued(config)
    found = leaves(content["report"]["experiment"]["config"])
    changed = {k: other(value) for k, value in found.items() if not listed or is_never_set(k)}
    lines = refused(tmp_path, edited(content, changed, listed))
    for key in changed:
        assert any(line.startswith(key) for line in lines), key


@pytest.mark.slow
@every_experiment
def test_every_other_leaf_is_taken_or_refused_by_the_schema_of_the_checkout(
    config: dict[str, Any], tmp_path: Path
) -> None:
    content = issued(config)
    for key, value in leaves(content["report"]["experiment"]["config"]).items():
        if is_never_set(key):
            continue
        made = edited(content, {key: other(value)})
        wanted = made["report"]["experiment"]["config"]
        try:
            experiment = replayed(tmp_path, made)
        except SamebitsError as error:
            # The schema's own words, or a value that follows from the key.
            words = [key, *_THAT_FOLLOW]
            assert any(word in str(error) for word in words), error
        else:
            assert not list(differences(wanted, experiment.config))


@pytest.mark.parametrize("listed", [False, True])
def test_each_key_that_is_never_taken_is_a_line_of_the_refusal(
    listed: bool, tmp_path: Path, default: Content
) -> None:
    values = {
        "determinism.environment.LD_PRELOAD": "/evil/evil.so",
        "determinism.environment.PYTHONPATH": "/evil",
        "hydra.run.dir": "/evil",
        "hydra.searchpath": ["file:///evil"],
        "source_path": "/evil",
        "name": "default",
        "signing": "none",
        "overrides": "seed=3",
        "experiment": "article",
        "defaults": ["/evil"],
        "data.urls": ["file:///etc/passwd"],
        "data.new": "x",
        "trainer.callbacks": ["x"],
        "trainer.evil\x1b[2J": 1,
        "seed=3 +model": 1,
        "model.a=1 model": 1,
    }
    lines = refused(tmp_path, edited(default, values, listed))
    tops = {"hydra", "signing"}  # keys of the top level that this checkout's identity lacks
    assert named(lines) == {
        key.partition(".")[0] if key.partition(".")[0] in tops else key.replace("\x1b", "\\u001b")
        for key in values
    }


def test_a_dotted_key_at_the_top_is_not_the_nested_one(tmp_path: Path, default: Content) -> None:
    made = copy.deepcopy(default)
    experiment = made["report"]["experiment"]
    experiment["config"]["trainer.epochs"] = 5
    experiment["overridden"] = ["trainer.epochs"]
    assert refused(tmp_path, made)


@pytest.mark.parametrize(
    "text", ["${oc.env:HOME}", "a${oc.env:HOME}", "${seed}", "${hydra:run.dir}", "\\${oc.env:HOME}"]
)
def test_text_of_a_certificate_is_never_resolved(
    text: str, tmp_path: Path, default: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/of-somebody")
    keys = ["trace", "model.units", "data.scale", "trainer.optimizer", "determinism.isa"]
    lines = refused(tmp_path, edited(default, dict.fromkeys(keys, text)))
    assert named(lines) == set(keys)
    assert all("never resolved" in line and "of-somebody" not in line for line in lines)


@pytest.mark.parametrize(
    "option",
    [
        *("../../evil", "a,b", "mlp,cnn", "", "mlp ", "MLP", "/evil/x", "${seed}", "mlp\n"),
        *("custom=1", "../model/mlp", None, 3, ["mlp"], {"mlp": 1}, True),
    ],
)
def test_an_option_that_this_checkout_lacks_is_refused_with_those_available(
    option: object, tmp_path: Path, default: Content
) -> None:
    lines = refused(tmp_path, edited(default, {f"{group}.option": option for group in PARTS}))
    assert named(lines) == set(PARTS)
    for line in lines:
        assert ": this checkout has no option " in line
        assert "; available: " in line


def test_everything_that_differs_is_in_one_refusal(tmp_path: Path, default: Content) -> None:
    made = edited(default, {"trainer.epochs": 5, "seed": 9}, listed=False)
    made["report"]["dependencies"][2]["sha256"] = "0" * 64
    made["report"]["records"]["runs"]["control"]["source"][0]["sha256"] = "1" * 64
    lines = refused(tmp_path, made)
    assert [line.partition(":")[0] for line in lines] == [
        "envs/load.lock.txt", "scripts/train.py", "seed", "trainer.epochs",
    ]  # fmt: skip


def test_a_refusal_of_a_million_keys_is_short(tmp_path: Path, default: Content) -> None:
    made = copy.deepcopy(default)
    made["report"]["experiment"]["config"]["model"] |= {f"k{n:06}": "y" * 999 for n in range(9999)}
    with pytest.raises(SamebitsError) as caught:
        replayed(tmp_path, made)
    assert len(str(caught.value)) < 30_000
    assert "and 9899 more" in str(caught.value)


def test_types_that_python_takes_for_equal_are_not(tmp_path: Path, default: Content) -> None:
    for value in (32.0, True):
        (line,) = refused(tmp_path, edited(default, {"trainer.batch_size": value}, listed=False))
        assert line.startswith("trainer.batch_size: ")


# --- code and locks ----------------------------------------------------------------------------


def control(content: Content) -> Any:
    return content["report"]["records"]["runs"]["control"]


def test_each_module_of_the_training_must_be_the_one_that_ran(
    tmp_path: Path, default: Content
) -> None:
    changed, left_out = copy.deepcopy(default), copy.deepcopy(default)
    modules = [entry["module"] for entry in control(default)["source"]]
    assert {"__main__", "samebits.models", "samebits.training.task"} <= set(modules)
    for entry in control(changed)["source"]:
        entry["sha256"] = "0" * 64
    lines = refused(tmp_path, changed)
    assert len(lines) == len(modules)
    assert all(".py: the certificate has SHA-256 0000" in line for line in lines)
    del control(left_out)["source"][1:]
    assert refused(tmp_path, left_out) == sorted(
        f"{module}: this checkout's training imports it, the certificate does not list it"
        for module in modules[1:]
    )


@pytest.mark.parametrize(
    ("module", "path"),
    [
        *((name, f"{name}.py") for name in ("absent", "a" * 5000, "x\x1b[2J")),
        *(("mine", path) for path in ("/etc/passwd", ".", "train/", "/dev/zero", "/proc/kcore")),
        *(("mine", path) for path in ("x\0", "x" * 300, "/" * 9000)),
        *(("samebits.models", path) for path in ("../README.md", "/etc/passwd", "README.md")),
    ],
)
def test_a_module_that_is_not_here_is_refused_by_name(
    module: str, path: str, tmp_path: Path, default: Content
) -> None:
    made = copy.deepcopy(default)
    control(made)["source"].append({"module": module, "path": path, "sha256": "0" * 64})
    (line,) = refused(tmp_path, made)
    assert "and it is not here" in line
    assert "\x1b" not in line
    assert len(line) < 400


def test_a_users_module_that_was_changed_is_named(
    tmp_path: Path, own_model: tuple[Path, dict[str, Any]]
) -> None:
    path, config = own_model
    content = issued(config, path)
    path.write_text("def net(width=4, **more): ...\n")
    lines = refused(tmp_path, content, source_path=str(path.parent), allow="mine.net")
    assert len(lines) == 1
    assert lines[0].startswith(f"{path}: the certificate has SHA-256 ")


@pytest.mark.process
def test_a_file_that_the_certificates_run_opened_must_be_here_as_it_was(
    tmp_path: Path, own_model: tuple[Path, dict[str, Any]]
) -> None:
    path, config = own_model
    content, where = issued(config, path), {"source_path": str(path.parent), "allow": "mine.net"}
    weights, outside = path.parent / "start.npy", tmp_path / "vocabulary"
    for file in (weights, outside):
        file.write_text("x")
    read = [(file, files.digest(file)) for file in (weights, outside)]
    control(content)["files"] |= {
        "read": [
            {"path": p, "sha256": d}
            for p, d in (("start.npy", read[0][1]), (str(outside), read[1][1]))
        ],
        "absent": ["local.json", str(tmp_path / "settings")],
    }
    assert planned(tmp_path, content, **where).replay.notes  # type: ignore[union-attr]
    weights.write_text("y")
    outside.unlink()
    (path.parent / "local.json").touch()
    assert refused(tmp_path, content, **where) == [
        f"{path.parent}/local.json: it now exists, as it was not for the certificate's run",
        f"{weights}: the certificate's run read SHA-256 {read[0][1]}, and here it has changed",
        f"{outside}: the certificate's run read SHA-256 {read[1][1]}, and here it is missing; it "
        "lies outside of the source: put that file there",
    ]


@pytest.mark.process
def test_what_was_looked_up_in_vain_outside_of_the_source_is_a_note(
    tmp_path: Path, own_model: tuple[Path, dict[str, Any]]
) -> None:
    path, config = own_model
    content = issued(config, path)
    (tmp_path / "settings").touch()
    control(content)["files"]["absent"] = [str(tmp_path / "settings")]
    made = planned(tmp_path, content, source_path=str(path.parent), allow="mine.net")
    assert made.replay is not None
    assert any(note.startswith(f"{tmp_path}/settings: it now exists") for note in made.replay.notes)


@pytest.mark.parametrize("index", range(3))
def test_each_lock_and_pin_file_that_determines_the_training_must_be_the_same(
    index: int, tmp_path: Path, default: Content
) -> None:
    changed, left_out = copy.deepcopy(default), copy.deepcopy(default)
    name = changed["report"]["dependencies"][index]["name"]
    changed["report"]["dependencies"][index]["sha256"] = "0" * 64
    (line,) = refused(tmp_path, changed)
    assert line.startswith(f"{name}: the certificate has SHA-256 ")
    del left_out["report"]["dependencies"][index]
    if index:  # the lock itself is carried, too
        (line,) = refused(tmp_path, left_out)
        assert line.startswith(f"{name}: the certificate has SHA-256 none, this checkout ")


def test_a_lock_that_is_carried_must_be_the_one_here(tmp_path: Path, default: Content) -> None:
    changed, other, absent, record = (copy.deepcopy(default) for _ in range(4))
    changed["report"]["lock"]["text"] += "#\n"
    other["report"]["lock"]["name"] = "envs/other.lock.txt"
    other["report"]["dependencies"] = other["report"]["dependencies"][1:]
    absent["report"]["lock"]["text"] = None
    control(record)["lock"] = "0" * 64
    for made in (changed, other, record):
        (line,) = refused(tmp_path, made)
        assert line.startswith("envs/train-tf2.21.lock.txt: ")
    assert refused(tmp_path, absent) == ["it carries no lock of the training environment"]


@pytest.mark.process
def test_another_lock_of_what_only_compares_is_a_note(tmp_path: Path, default: Content) -> None:
    made = copy.deepcopy(default)
    certify = ENVS / "certify.lock.txt"
    made["report"]["dependencies"] += [
        {"name": "envs/compare.lock.txt", "sha256": "0" * 64},
        {"name": "envs/certify.lock.txt", "sha256": files.digest(certify)},
    ]
    found = planned(tmp_path, made)
    assert found.replay is not None
    (note,) = [note for note in found.replay.notes if note.startswith("envs/")]
    assert note.startswith("envs/compare.lock.txt: ")


# --- an environment that was there already ------------------------------------------------------


@pytest.mark.process
def test_a_replay_wants_the_same_environment_or_says_what_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    prefix = Prefix(tmp_path)
    prefix.install(wheel(tmp_path, "tensorflow", "2.15.0"))
    mine = {"framework": "installed", "python": f"{prefix.folder}/bin/python"}
    content, lock = issued({}), of(mine).installed
    assert lock is not None
    theirs = lock.lock.replace("# Python: 3.", "# Python: 3.0")
    sha256 = hashlib.sha256(theirs.encode()).hexdigest()
    report = content["report"]
    report["experiment"] |= {"config": of(mine).config, "digest": of(mine).digest}
    report["lock"] = {"name": f"envs/installed+{sha256[:12]}.lock.txt", "text": theirs}
    report["records"]["runs"]["control"]["lock"] = sha256
    report["dependencies"] = [
        {"name": report["lock"]["name"], "sha256": sha256},
        {"name": "envs/load.lock.txt", "sha256": files.digest(ENVS / "load.lock.txt")},
    ]
    made = planned(tmp_path, content, python=mine["python"])
    assert made.first.digest == of(mine).digest
    assert made.replay is not None
    assert [note for note in made.replay.notes if note.startswith("Python: expected 3.0")]
    (line,) = refused(tmp_path, content)
    assert line.startswith("framework=installed: name its interpreter, such as python=")
    prefix.install(wheel(tmp_path, "mine", "1.1"))
    _COMPOSED.clear()
    (line,) = refused(tmp_path, content, python=mine["python"])
    assert line.startswith("mine: expected 1.0, RECORD ")
    # One of ours in its place is another framework.
    lines = refused(tmp_path, content, framework="tf2.21")
    assert any(line.startswith("framework.option: the certificate has ") for line in lines)


# --- a checkout that was changed -----------------------------------------------------------------


SOURCE = factories.REPOSITORY | {"model": None}


class Checkout:
    """A copy of this one under git, and a certificate that was issued from it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "checkout"
        for part in ("conf", "envs", "rules", "scripts"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / part, self.folder / part, ignore=ignored)
        for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"]):
            self.git(*command)
        self.content = issued({})
        self.content["report"]["source"] = SOURCE | {"commit": self.git("rev-parse", "HEAD")}
        self.certificate = write(folder, self.content)

    def git(self, *command: str) -> str:
        identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-C", str(self.folder))
        done = subprocess.run(
            ["git", *identity, *command],  # noqa: S607
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def notes(self, **config: Any) -> tuple[str, ...]:
        """What is told of a replay from this checkout."""
        given = {"certificate": str(self.certificate), **config}
        found = plan.plan(given, self.folder / "conf").replay
        assert found is not None
        return found.notes


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    return Checkout(tmp_path_factory.mktemp("changed"))


@pytest.fixture
def checkout(pristine: Checkout, monkeypatch: pytest.MonkeyPatch) -> Iterator[Checkout]:
    """As it was issued from; changes are undone afterwards."""
    monkeypatch.setattr(sources, "SCRIPTS", pristine.folder / "scripts")
    yield pristine
    pristine.git("checkout", "-q", ".")


@pytest.mark.process
def test_an_unchanged_checkout_has_nothing_to_note(checkout: Checkout) -> None:
    assert checkout.notes() == ()


@pytest.mark.process
@pytest.mark.parametrize(
    "file",
    [
        *("launch/lease.py", "pages/certificate.py", "certificate/report.py", "workflow/plan.py"),
        *("data/datasets.py", "comparison/runs.py", "pages/style.css", "../launch.py"),
        *("../certify.py", "../../rules/train.smk"),
    ],
)
def test_a_comment_in_code_that_cannot_change_the_bits_is_a_note(
    file: str, checkout: Checkout
) -> None:
    path = (checkout.folder / "scripts" / "samebits" / file).resolve()
    path.write_text(path.read_text() + "# a comment\n")
    name = path.relative_to(checkout.folder)
    expected = f"{name}: changed since the certificate's commit; it cannot change the bits"
    assert checkout.notes() == (expected,)


@pytest.mark.process
@pytest.mark.parametrize(
    "file",
    [
        *("training/task.py", "formats/canonical.py", "experiment/pins.py", "errors.py"),
        *("text.py", "models.py", "../train.py"),
    ],
)
def test_a_comment_in_code_that_can_change_the_bits_is_refused_by_name(
    file: str, checkout: Checkout
) -> None:
    path = (checkout.folder / "scripts" / "samebits" / file).resolve()
    path.write_text(path.read_text() + "# a comment\n")
    with pytest.raises(SamebitsError) as caught:
        checkout.notes()
    _, line = str(caught.value).splitlines()
    name = path.relative_to(checkout.folder)
    assert line.startswith(f"{name}: the certificate has SHA-256 ")


def test_all_code_that_can_change_the_bits_stands_in_four_rooms() -> None:
    found = sources.closure(SCRIPTS / "train.py", SCRIPTS)
    rooms = {str(path.parent.relative_to(SCRIPTS)) for path in found}
    four = "/experiment", "/formats", "/observation", "/training"
    assert rooms == {".", *(f"samebits{room}" for room in ("", *four))}


@pytest.mark.process
def test_a_certificate_from_a_changed_checkout_is_told(checkout: Checkout, tmp_path: Path) -> None:
    for changed in (["x"], None):
        made = copy.deepcopy(checkout.content)
        made["report"]["source"]["changed"] = changed
        (note,) = checkout.notes(certificate=str(write(tmp_path, made)))
        assert note.startswith("the certificate's checkout had uncommitted changes to commit ")


@pytest.mark.process
def test_code_that_was_compared_is_in_no_note(checkout: Checkout, tmp_path: Path) -> None:
    """Here and where the certificate was issued, it differs from the commit in the same way."""
    path = checkout.folder / "scripts" / "samebits" / "training" / "task.py"
    path.write_text(path.read_text() + "# a comment\n")
    made = copy.deepcopy(checkout.content)
    (entry,) = [e for e in control(made)["source"] if e["module"] == "samebits.training.task"]
    entry["sha256"] = files.digest(path)
    assert checkout.notes(certificate=str(write(tmp_path, made))) == ()


@pytest.mark.process
def test_a_commit_that_git_cannot_find_is_told(checkout: Checkout, tmp_path: Path) -> None:
    for commit, said in ((None, "names no commit"), ("c" * 40, "is not in this checkout")):
        made = copy.deepcopy(checkout.content)
        made["report"]["source"] = SOURCE | {"commit": commit, "changed": None}
        (note,) = checkout.notes(certificate=str(write(tmp_path, made)))
        assert said in note
        assert "only source files that can change the bits were compared" in note


def test_no_file_outside_of_the_checkout_is_looked_at(tmp_path: Path, default: Content) -> None:
    made = copy.deepcopy(default)
    outside = {"name": "envs/../../../etc/passwd", "sha256": "0" * 64}
    made["report"]["dependencies"].append(outside)
    assert any("dependencies" in line for line in refused(tmp_path, made))


# --- what is not a certificate to replay -------------------------------------------------------


def test_a_control_that_did_not_complete_has_nothing_to_compare_with(
    tmp_path: Path, default: Content
) -> None:
    for made in (certificates.unsupported(), {**certificates.inconclusive()}):
        content = copy.deepcopy(default) | {"report": made}
        if made["verdict"] == "INCONCLUSIVE":
            made["records"]["runs"]["control"] = None
        lines = refused(tmp_path, content)
        assert "its control run did not complete, so there is nothing to compare with" in lines


def test_a_digest_that_is_not_that_of_the_config_is_refused(
    tmp_path: Path, default: Content
) -> None:
    made = copy.deepcopy(default)
    made["report"]["experiment"]["digest"] = "0" * 64
    assert refused(tmp_path, made) == [
        "experiment.digest: not the digest of the certificate's config"
    ]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "expected a certificate in JSON, got"),
        (b"\xff", "expected a certificate in JSON, got"),
        (b"null\n", "certificate: at $: None is not of type"),
        (b"[]\n", "certificate: at $: [] is not of type"),
        (b"{}\n", "'format' is a required property"),
        (b'{"format":"samebits-certificate-1"}\n', "'report' is a required property"),
        (b'{"format":"samebits-certificate-1","report":{}}\n', "certificate: at $.report: "),
        (b'{"format":"samebits-certificate-2"}\n', "'samebits-certificate-1' was expected"),
        (b'{"a":1,"a":1}\n', "the same key twice"),
        (b'{"a":NaN}\n', "NaN is not JSON"),
        (b'{"a":1e999}\n', "too large"),
        (b'{"a":' + b"9" * 5000 + b"}\n", "expected a certificate in JSON, got"),
        (b"[" * 100_000, "recursion"),
        (b"[" * 900 + b"]" * 900 + b"\n", "nested too deep"),
        (b'{"\x1b[2J":1,"\x1b[2J":1}', "expected a certificate in JSON, got"),
        (b" " * (MOST_BYTES + 1), "at most 12 MiB"),
    ],
    ids=range(16),
)
def test_what_is_not_a_certificate_is_refused_with_the_reason(
    data: bytes, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "certificate.json"
    path.write_bytes(data)
    with pytest.raises(SamebitsError) as caught:
        of({"certificate": str(path)})
    assert said in str(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("depth", [300, 900, 5000])
def test_a_config_that_is_nested_deep_is_refused(
    depth: int, tmp_path: Path, default: Content
) -> None:
    path = write(tmp_path, edited(default, {"model.x": "DEEP"}))
    deep = b'{"a":' * depth + b"1" + b"}" * depth
    path.write_bytes(path.read_bytes().replace(b'"DEEP"', deep))
    with pytest.raises(SamebitsError, match="cannot be replayed"):
        of({"certificate": str(path)})


def test_another_spelling_of_the_same_json_is_refused(tmp_path: Path, default: Content) -> None:
    path = write(tmp_path, default)
    path.write_bytes(path.read_bytes().replace(b'":', b'": ', 1))
    with pytest.raises(SamebitsError, match="canonical"):
        of({"certificate": str(path)})


def test_a_path_that_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "absent", tmp_path, tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(SamebitsError, match="got no file"):
            of({"certificate": str(path)})


def test_a_bundle_that_is_a_bomb_or_lacks_the_certificate_is_refused(tmp_path: Path) -> None:
    bomb, empty, large = (tmp_path / f"{name}.zip" for name in ("bomb", "empty", "large"))
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("certificate.json", b" " * (MOST_BYTES + 1))
    (tmp_path / "other").write_bytes(b"x")
    bundle.write(empty, {"other": tmp_path / "other"})
    (tmp_path / "other").write_bytes(b" " * (MOST_BYTES + 1))
    bundle.write(large, {"certificate.json": tmp_path / "other"})
    for path in (bomb, empty, large):
        with pytest.raises(SamebitsError):
            of({"certificate": str(path)})


def test_what_is_allowed_is_one_function(tmp_path: Path, default: Content) -> None:
    for allow in (3, ["a.b"], {"a": "b"}, True):
        with pytest.raises(SamebitsError, match=r"expected one MODULE\.FUNCTION"):
            replayed(tmp_path, default, allow=allow)


def test_allowing_a_function_without_a_certificate_is_refused() -> None:
    with pytest.raises(SamebitsError, match="expected certificate=PATH"):
        of({"allow": "mine.net"})


def test_what_is_set_is_named_by_the_key_that_a_difference_has() -> None:
    for whole in WHOLE:
        assert list(units([*whole.split("."), "x", "y"], {"z": 1})) == [whole]
    assert list(units(["trainer"], {"epochs": 5, "loss": {"class_name": "X"}})) == [
        "trainer.epochs",
        "trainer.loss",
    ]


# --- some epochs of it -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def with_checkpoints() -> Content:
    """A certificate that commits to the states of its three epochs."""
    made = issued({"overrides": "trainer.checkpoint=epoch trainer.epochs=3"})
    digests = [dict.fromkeys(states.PARTS, digit * 64) for digit in "123"]
    found = {"every": "epoch", "digests": digests, "root": states.root(digests), "resumed": []}
    again = {"epoch": 3, "digests": digests[-1], "failure": None, "attributes": []}
    runs = made["report"]["records"]["runs"]
    runs["control"]["checkpoints"] = found | {"again": None}
    runs["replica"]["checkpoints"] = found | {"again": again}
    return made


def beside(folder: Path, *numbers: int) -> None:
    """The states that lie beside a certificate; what is in them is looked at later."""
    for number in numbers:
        (folder / f"train/control/checkpoints/{number:04d}").mkdir(parents=True)
        for part in states.PARTS:
            path = folder / f"train/control/checkpoints/{number:04d}/{part}.safetensors"
            path.touch()


@pytest.mark.process
def test_some_epochs_have_a_replay_and_a_name_of_their_own(
    tmp_path: Path, with_checkpoints: Content
) -> None:
    beside(tmp_path, 1, 2)  # nothing begins from the last one
    whole = planned(tmp_path, with_checkpoints)
    some = planned(tmp_path, with_checkpoints, epochs=2)
    assert whole.replay is not None and whole.replay.epochs is None
    assert some.replay is not None and some.replay.epochs == 2
    assert some.name == f"{whole.name}-epochs-2"
    assert some.first.digest == whole.first.digest


@pytest.mark.process
def test_the_states_may_lie_elsewhere(tmp_path: Path, with_checkpoints: Content) -> None:
    elsewhere, alone = tmp_path / "elsewhere", tmp_path / "alone"
    alone.mkdir()
    beside(elsewhere, 1, 2, 3)
    first = "train/control/checkpoints/0001"
    for place in ({}, {"checkpoints": str(elsewhere / "no")}):
        lines = refused(alone, with_checkpoints, epochs=1, **place)
        for part in states.PARTS:
            start = f"{first}/{part}.safetensors: not in the bundle or beside the certificate, "
            assert any(line.startswith(start) for line in lines)
    found = planned(alone, with_checkpoints, epochs=1, checkpoints=str(elsewhere))
    assert found.replay is not None and found.replay.states == elsewhere


def test_a_bundle_without_its_states_is_refused_before_any_job(
    tmp_path: Path, with_checkpoints: Content
) -> None:
    path = tmp_path / "made.zip"
    bundle.write(path, {"certificate.json": write(tmp_path, with_checkpoints)})
    beside(tmp_path, 1, 2)  # of a bundle, what lies beside it does not count
    with pytest.raises(SamebitsError, match=r"0001/weights\.safetensors: not in the bundle"):
        of({"certificate": str(path), "epochs": 1})


@pytest.mark.parametrize(("epochs", "said"), [(3, "less than 3, which is all"), (4, "got 4")])
def test_as_many_epochs_as_there_are_is_no_part(
    tmp_path: Path, with_checkpoints: Content, epochs: int, said: str
) -> None:
    beside(tmp_path, 1, 2, 3)
    (line,) = refused(tmp_path, with_checkpoints, epochs=epochs)
    assert said in line


@pytest.mark.parametrize("epochs", [0, -1, "two", True, 1.5, [1]])
def test_a_number_of_epochs_is_one_from_1(
    tmp_path: Path, with_checkpoints: Content, epochs: object
) -> None:
    with pytest.raises(SamebitsError, match="epochs: expected a number from 1, got"):
        replayed(tmp_path, with_checkpoints, epochs=epochs)


def test_a_certificate_without_checkpoints_has_no_epochs_to_draw(
    tmp_path: Path, default: Content
) -> None:
    (line,) = refused(tmp_path, default, epochs=1)
    assert "commits to no checkpoints" in line


@pytest.mark.parametrize("key", ["epochs", "checkpoints"])
def test_keys_of_a_spot_replay_need_a_certificate(key: str) -> None:
    with pytest.raises(SamebitsError, match=f"{key}: expected certificate=PATH with it"):
        of({key: 1})


# --- where it writes ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "results", "refused"),
    [
        ("results/x/certificate.json", "results/x", True),
        ("results/x/certificate.zip", "results/x", True),
        ("results/x/replay/certificate.json", "results/x", True),
        ("link/certificate.json", "results/x", True),
        ("results/x/linked.json", "results/x", True),
        ("results/x/certificate.json", "link", True),
        ("results/x/certificate.json", "results/replay-1", False),
        ("results/x/certificate.json", "results/y", False),
        ("certificate.json", "results/x", False),
    ],
)
def test_a_replay_never_writes_where_its_certificate_lies(
    tmp_path: Path, given: str, results: str, refused: bool
) -> None:
    (tmp_path / "results" / "x" / "replay").mkdir(parents=True)
    (tmp_path / "results" / "y").mkdir()
    (tmp_path / "link").symlink_to("results/x")
    (tmp_path / "results" / "x" / "linked.json").symlink_to("../../golden.json")
    (tmp_path / given).write_text("{}")
    path, folder = tmp_path / given, tmp_path / results
    if refused:
        with pytest.raises(SamebitsError, match="where the certificate lies that it repeats"):
            require_elsewhere(path, folder)
    else:
        require_elsewhere(path, folder)
