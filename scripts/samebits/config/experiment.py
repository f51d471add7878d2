"""The experiment that a user configures, composed once when Snakemake reads the Snakefile.

INPUTS      conf/ (Hydra groups and schema.json), Snakemake's ``config``
OUTPUTS     an Experiment: resolved, schema-checked, named by its digest
GUARANTEES  an unknown key, group or option, a wrong type or an impossible pair raises
            SamebitsError that lists all problems before any job exists; the same overrides give
            the same digest, in whichever form they are given
"""

import json
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import initialize_config_dir

from samebits.config import installed, keras_names, keys, overrides, sources
from samebits.config import program as programs
from samebits.config.compose import Composer
from samebits.config.installed import Installed
from samebits.config.overrides import OPTION, Override, plainly
from samebits.config.program import Program
from samebits.errors import require_none
from samebits.experiment import pins, variables
from samebits.formats import canonical, lockfile
from samebits.text import listed, quoted

FORMAT = "samebits-config-1"
PARTS = ("data", "model", "trainer", "framework", "determinism", "protocol")  # of the identity
GROUPS = (*PARTS, "experiment")
CHECKPOINT = "checkpoint"  # the value of trainer.checkpoint unless something else sets that
THREADS, _INTRA_OP = "threads", "determinism.intra_op_threads"  # the plain key of this one
# Locations, and a value that another one is made from: none of them is trained.
_NOT_IDENTITY = (
    "name", "source_path", CHECKPOINT, THREADS, "bundle", installed.KEY, *programs.KEYS
)  # fmt: skip
_NAME_LENGTH = 100  # file systems allow 255 bytes for a name


@dataclass(frozen=True)
class Experiment:
    """One resolved configuration and the names made from it."""

    name: str  # the folder under results/
    config: dict[str, Any]  # identity: its canonical JSON has the digest below
    digest: str
    data_key: str  # the folder under data/; equal data configs share it
    source_path: str  # the folder of the model's module; of a program its project
    source_files: tuple[str, ...]  # the modules of model or program: inputs of every training
    overrides: tuple[str, ...]  # in Hydra's notation
    overridden: tuple[str, ...]  # the keys of the config that the overrides set, sorted; no groups
    program: Program | None = None  # in place of data, model and trainer
    bundles_source: bool = False  # whether a bundle holds the program's own files
    notes: tuple[str, ...] = ()  # for the user, before anything runs
    locked: str = ""  # SHA-256 of the lock, where that is not one of ours
    installed: Installed | None = None  # the environment that is there already, if it is that

    def part(self, *keys: str) -> dict[str, Any]:
        """The part of the config that one stage depends on."""
        return {"format": FORMAT} | {key: self.config[key] for key in keys}

    @property
    def environment(self) -> str:
        """The name of its training environment below envs/."""
        return lockfile.environment_name(self.config, self.locked)

    def command(self) -> str:
        """The command line that repeats this experiment."""
        if self.program is None:
            words = [plainly(override) for override in self.overrides]
            return " ".join(["./samebits certificate", *map(quoted, words)])
        script = f"{programs.SCRIPT}="
        words = [plainly(o) for o in self.overrides if not o.startswith(script)]
        return " ".join(["./samebits run", *map(quoted, [*words, *self.program.part["words"]])])

    @property
    def epochs(self) -> int | None:
        """How many it trains at most; None: only its program knows."""
        return None if self.program else int(self.config["trainer"]["epochs"])

    @property
    def trainer(self) -> str:
        """The name of the script that trains it."""
        return "train" if self.program is None else "program"

    @property
    def data_config(self) -> dict[str, Any]:
        """The part of the config that says what is loaded: a data set, or a program's inputs."""
        if self.program is None:
            return self.part("data")
        return {"format": FORMAT, programs.INPUTS: self.program.part[programs.INPUTS]}

    def variables(self, unpinned: Sequence[str] = ()) -> list[str]:
        """NAME=VALUE of each variable that must be set before the interpreter starts.

        A hash seed that is not pinned is varied, starting from 0.
        """
        profile = pins.unpin(self.config["determinism"], unpinned)
        pinned = {"PYTHONHASHSEED": str(profile["hash_seed"] or 0)} | profile["environment"]
        declared = self.config["environment"]
        return [f"{name}={value}" for name, value in (pinned | declared).items()]


@dataclass(frozen=True)
class LocalExperiment:
    """The experiment that this checkout makes from overrides; values may still be missing."""

    identity: dict[str, Any]
    source_path: str
    installed: Installed | None


@contextmanager
def composing(conf: Path) -> Iterator[Composer]:
    """A Composer for the tree ``conf``."""
    with initialize_config_dir(str(conf.resolve()), version_base="1.3"):
        yield Composer(conf, GROUPS)


def experiment(wanted: list[Override], composer: Composer, name: str | None = None) -> Experiment:
    """The experiment that overrides make.

    ``name``: its folder, unless the overrides name one; the default is made from the overrides.
    """
    wanted, notes = _of_program(wanted)
    resolved, overridden, found = _compose(wanted, composer)
    _check(resolved, wanted, composer)
    resolved = _settled(resolved, overridden)
    program = programs.read(resolved)
    identity = _identity(resolved, program)
    return Experiment(
        name=resolved["name"] or name or default_name(wanted),
        config=identity,
        digest=canonical.digest(identity),
        data_key=_data_key(identity, program),
        source_path=program.project if program else resolved["source_path"],
        source_files=program.files()
        if program
        else sources.model_files(resolved["model"]["_target_"], resolved["source_path"]),
        overrides=tuple(override.hydra() for override in wanted),
        overridden=overridden,
        program=program,
        bundles_source=resolved["bundle"]["source"],
        notes=notes,
        installed=found,
    )


def _of_program(wanted: list[Override]) -> tuple[list[Override], tuple[str, ...]]:
    """The overrides without those of a profile that no program can have, and a line about each."""
    if not any(override.key == programs.SCRIPT and override.value for override in wanted):
        return wanted, ()
    kept = [override for override in wanted if override.own or override.key != CHECKPOINT]
    notes = (
        f"{override.hydra()} of the profile is left out: a program is trained in one piece"
        for override in wanted
        if override not in kept
    )
    return kept, tuple(notes)


def _data_key(identity: Mapping[str, Any], program: Program | None) -> str:
    """The folder of a data set, or of a project's inputs, which are named below the project."""
    if program is not None:
        place = [program.part[programs.INPUTS], program.project]
        return f"{programs.INPUTS}-{canonical.digest(place)[:12]}"
    return f"{identity['data'][OPTION]}-{canonical.digest(identity['data'])[:12]}"


def _identity(resolved: Mapping[str, Any], program: Program | None) -> dict[str, Any]:
    """The part of a resolved config that decides the results."""
    left_out = (*_NOT_IDENTITY, *(programs.REPLACED if program else ()))
    found = {key: resolved[key] for key in resolved if key not in left_out} | {"format": FORMAT}
    return found | ({"program": program.part} if program else {})


def local(wanted: list[Override], composer: Composer) -> LocalExperiment:
    """The experiment that this checkout makes from overrides; values may still be missing."""
    resolved, overridden, found = _compose(wanted, composer, missing_ok=True)
    resolved = _settled(resolved, overridden)
    program = programs.read(resolved)
    source_path = program.project if program else resolved["source_path"]
    return LocalExperiment(_identity(resolved, program), source_path, found)


def default_name(wanted: Iterable[Override]) -> str:
    """A folder name made from the overrides, the program first; ``default`` without any."""
    values = {o.prefix.strip("+") + o.key: o.value for o in wanted if o.key != "name"}
    if not values:
        return "default"
    program = values.get(programs.SCRIPT)
    # A program comes first; an interpreter is a place, of which the digest tells.
    apart = {installed.KEY, *([programs.SCRIPT] if program else [])} & {*values}
    rest = (pair for pair in sorted(values.items()) if pair[0] not in apart)
    texts = [f"{key}={value_text(value)}" for key, value in rest]
    text = ",".join([programs.title(str(program)), *texts] if program else texts)
    safe = re.sub(r"[^A-Za-z0-9._=,+-]+", "-", re.sub(r'["{}\[\]]', "", text))
    if safe == text and len(text) <= _NAME_LENGTH and not apart:
        return text
    return f"{safe[: _NAME_LENGTH - 9]}-{canonical.digest(values)[:8]}"


def value_text(value: Any) -> str:
    """Text as it is unless it could be read as something else: quotes then make it unsafe."""
    plain = isinstance(value, str) and overrides.typed(value) == value and "," not in value
    return value if plain else json.dumps(value, separators=(",", ":"))


def _compose(
    wanted: list[Override], composer: Composer, missing_ok: bool = False
) -> tuple[dict[str, Any], tuple[str, ...], Installed | None]:
    """The resolved config, which keys of its identity the overrides set, and the environment."""
    require_none(_option_problems(wanted, composer))
    choices = [override for override in wanted if composer.is_choice(override)]
    base = composer.resolve(choices, missing_ok=True)
    known = composer.once(id(base), lambda: frozenset(_paths(base)) | set(GROUPS))
    require_none(_key_problems(wanted, base, known))
    resolved = composer.resolve(wanted, missing_ok)
    overridden, python = _overridden(wanted, base, resolved, composer), installed.of(resolved)
    if not python:
        return resolved, overridden, None
    found = composer.once((installed.KEY, python), lambda: installed.look(python))
    framework = resolved["framework"] | found.versions
    return resolved | {"framework": framework}, overridden, found


def _settled(resolved: dict[str, Any], overridden: Iterable[str]) -> dict[str, Any]:
    """The config with its number of threads, and with the pins that its TensorFlow can have.

    What the user sets stays.
    """
    asked = {key.removeprefix("determinism.") for key in overridden}
    tensorflow = str(resolved["framework"]["tensorflow"])
    profile = resolved["determinism"]
    if resolved[THREADS] is not None:
        profile = profile | {"intra_op_threads": resolved[THREADS]}
    return resolved | {"determinism": pins.possible(profile, tensorflow, asked)}


def _overridden(
    wanted: list[Override], base: Mapping[str, Any], resolved: Mapping[str, Any], composer: Composer
) -> tuple[str, ...]:
    """The keys that overrides set: directly, by an option of ``experiment``, by interpolation."""
    values = [override for override in wanted if not composer.is_choice(override)]
    found = {key for o in values for key in keys.units(o.key.split("."), o.value)}
    if base["trainer"] != resolved["trainer"] and any(o.key == CHECKPOINT for o in wanted):
        found.add(f"trainer.{CHECKPOINT}")
    if resolved[THREADS] is not None:
        found.add(_INTRA_OP)
    if any(override.key == "experiment" for override in wanted):
        found |= composer.once(("experiment", id(base)), lambda: _beside_options(base, composer))
    return tuple(sorted(key for key in found if key.partition(".")[0] not in _NOT_IDENTITY))


def _beside_options(base: Mapping[str, Any], composer: Composer) -> set[str]:
    """The keys in which a config is not what its groups' options alone make."""
    options = [Override(group, base[group][OPTION]) for group in PARTS if group in base]
    plain = composer.resolve(options, missing_ok=True)
    found = keys.differences(_identity(plain, None), _identity(base, None))
    return {difference.key for difference in found}


def _option_problems(wanted: Iterable[Override], composer: Composer) -> Iterator[str]:
    for override in wanted:
        if composer.is_choice(override):
            valid = composer.options(override.key)
            if override.value not in valid:
                plain = override.hydra().replace("'", "")
                yield f"{plain}: no such option; {keys.nearest(str(override.value), valid)}"


def leaves(override: Override) -> list[str]:
    """The keys that an override sets: one, or those of a mapping given to a group."""
    if override.key in GROUPS and isinstance(override.value, dict):
        return [f"{override.key}.{key}" for key in override.value]
    return [override.key]


def _key_problems(
    wanted: Sequence[Override], base: Mapping[str, Any], known: frozenset[str]
) -> Iterator[str]:
    known |= {override.key for override in wanted if override.prefix.startswith("+")}
    for override in wanted:
        for key in leaves(override):
            if key not in known and override.prefix in ("", "~"):
                value = override.value if key == override.key else override.value[key.split(".")[1]]
                yield f"{key}: no such key; {_hint(key, value, wanted, base, known)}"


def _hint(
    key: str,
    value: Any,
    wanted: Iterable[Override],
    base: Mapping[str, Any],
    known: frozenset[str],
) -> str:
    """What to write in place of an unknown key."""
    for whole in keys.KERAS_OBJECTS:
        rest = key[len(whole) + 1 :].removeprefix("config.")
        if key.startswith(f"{whole}.") and rest.isidentifier():
            values = {override.key: override.value for override in wanted}
            kind = values.get(whole, _at(base, whole))
            name = kind.get("class_name") if isinstance(kind, Mapping) else kind
            config = f"{{{rest}: {overrides.literal(value)}}}"
            return f"write the whole: {whole}={{class_name: {name}, config: {config}}}"
    above = [name for name in known if key.startswith(f"{name}.")]
    nearest = max(above, key=len, default="")
    if above and not isinstance(there := _at(base, nearest), Mapping):
        value = [value] if isinstance(there, list) else value
        return f"set the whole of {nearest}: {Override(nearest, value).hydra()}"
    own = ""
    if key.startswith("model.") and base["model"][OPTION] == overrides.CUSTOM:
        added = overrides.plainly(Override(key, value, "++").hydra())
        own = f"; {added} hands your function one more argument"
    return keys.nearest(key, _siblings(key, known)) + own


def _at(node: Any, key: str) -> Any:
    for part in key.split("."):
        node = node[part]
    return node


def _paths(node: Any, prefix: str = "") -> Iterable[str]:
    """Every key of a nested mapping, dotted."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield f"{prefix}{key}"
            yield from _paths(value, f"{prefix}{key}.")


def _siblings(key: str, known: frozenset[str]) -> set[str]:
    """The keys to offer for a wrong one: those of its group, or the top level."""
    group = key.rpartition(".")[0]
    beside = {name for name in known if name.rpartition(".")[0] == group}
    return beside or {name for name in known if "." not in name}


def _check(resolved: dict[str, Any], wanted: Sequence[Override], composer: Composer) -> None:
    """The schema first; then pairs of values that are each valid."""
    given = [key for override in wanted for key in leaves(override)]
    own = [*programs.misplaced(resolved, given), *_threads_twice(resolved, given)]
    require_none([*own, *(_of_options(wanted, composer) if resolved[programs.SCRIPT] else ())])
    violations = composer.violations(resolved)
    require_none(_describe(cause) for error in violations for cause in _causes(error, resolved))
    require_none(_pair_problems(resolved, composer))


def _threads_twice(resolved: Mapping[str, Any], given: Container[str]) -> Iterator[str]:
    threads, same = resolved[THREADS], resolved["determinism"]["intra_op_threads"]
    if threads not in (None, same) and _INTRA_OP in given:
        said = f"{THREADS}={keys.shown(threads)} and {_INTRA_OP}={keys.shown(same)}"
        yield f"{said} set the same number; leave one of them out"


def _of_options(wanted: Sequence[Override], composer: Composer) -> Iterator[str]:
    """Options of ``experiment`` that set what a program does itself."""
    for one in (override for override in wanted if override.key == "experiment"):
        usual, chosen = composer.resolve([]), composer.resolve([one])
        sets = [group for group in programs.REPLACED if usual[group] != chosen[group]]
        if sets:
            yield f"experiment={one.value}: sets {listed(sets)}, which a program decides itself"


def _causes(error: Any, resolved: Mapping[str, Any]) -> list[Any]:
    """Of the alternatives for ``data``, the errors of the chosen one."""
    if error.validator != "oneOf" or list(error.absolute_path) != ["data"]:
        return [error]
    option = resolved["data"][OPTION]
    index = {"npz": 1, "synthetic": 2}.get(option, 0)
    return [cause for cause in error.context if cause.schema_path[0] == index]


def _describe(error: Any) -> str:
    path = list(error.absolute_path)
    if path == [overrides.NAME] and isinstance(error.instance, bool | int | float):
        value = keys.shown(error.instance)
        return (
            f"{overrides.NAME}: {value} is not text, and other ways to write it would share its "
            f"folder, as 1.1 and 1.10 do; quote it twice: {overrides.NAME}='\"{value}\"'"
        )
    if path[:1] == [overrides.ENVIRONMENT] and path[1:]:
        where, value = ".".join(map(str, path)), keys.shown(error.instance)
        return f"{where}: expected text, got {value}; quote it: {where}=\"'TEXT'\""
    if error.validator == "anyOf" and path[:1] == ["trainer"]:
        form = "expected a name, or {class_name: NAME, config: {…}}"
        return f"{'.'.join(map(str, path))}: {form}; got {keys.shown(error.instance)}"
    where = ".".join(map(str, path)) or "config"
    return f"{where}: {error.message}{_as_meant(error)}"


def _as_meant(error: Any) -> str:
    """How to write what was meant: 012, 1e3 and 2.0 are no integers, yes is no boolean."""
    said = str(error.instance).lower()
    if error.validator != "type" or isinstance(error.instance, bool | list | dict):
        return ""
    if error.validator_value == "boolean" and said in _BOOLEANS:
        return f"; write {_BOOLEANS[said]}"
    with suppress(ValueError, OverflowError):
        number = float(said)
        if "integer" in error.validator_value and number.is_integer():
            return f"; write {int(number)}"
    return ""


_BOOLEANS = dict.fromkeys(("true", "yes", "on", "1"), "true")
_BOOLEANS |= dict.fromkeys(("false", "no", "off", "0"), "false")


def _pair_problems(resolved: Mapping[str, Any], composer: Composer) -> Iterable[str]:
    """Values that are valid alone but not together, with a way out."""
    framework, profile = resolved["framework"], resolved["determinism"]
    version = pins.version(framework["tensorflow"])
    if version < pins.version(profile["minimum_tensorflow"]):
        strictest = "portable" if version >= (2, 8) else "tf21"
        yield (
            f"determinism={profile[OPTION]} needs TensorFlow >= {profile['minimum_tensorflow']}, "
            f"got framework={framework[OPTION]} ({framework['tensorflow']}); "
            f"use determinism={strictest} with it"
        )
    if profile["op_determinism"] and profile["seeding"] is None:
        yield "determinism.op_determinism: needs determinism.seeding, or random ops fail"
    yield from variables.undeclarable(resolved["environment"])
    program = programs.read(resolved)
    if program is not None:
        yield from programs.problems(program)
        if program.part[programs.PACKAGES] and lockfile.is_as_installed(resolved):
            yield (
                f"{programs.PACKAGES}: framework={framework[OPTION]} is trained in as it is; "
                f"install them there yourself, or leave out {programs.PACKAGES}"
            )
        return
    yield from keras_names.problems(resolved)
    model, data = resolved["model"], resolved["data"]
    for key, source in (("input_shape", "shape"), ("classes", "classes")):
        if model[OPTION] != overrides.CUSTOM and model.get(key, 0) is None:
            yield (
                f"data.{source}: model={model[OPTION]} needs it, got null with data={data[OPTION]};"
                f" set data.{source} or use a model of your own"
            )
    path = resolved["source_path"]
    of_model = "model", canonical.dumps(model), path
    yield from composer.once(of_model, lambda: list(sources.model_problems(model, path)))
