"""The experiment of a certificate, composed from this checkout, or why it cannot be.

A certificate is somebody's data. Its options must exist here, its code and locks must be the files
that lie here, and of its config only what ``certified_config`` lets it decide is taken; the result
must then be its config to the last byte. Whether anybody is to be believed is decided later, by
verify, in an environment that can check signatures: nothing here needs more than Snakemake does.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from samebits.certificate import evidence, replays
from samebits.config import experiment as experiments
from samebits.config import sources
from samebits.config.compose import Composer
from samebits.config.experiment import CHECKPOINT, PARTS, LocalExperiment
from samebits.config.keys import ABSENT, differences, shown
from samebits.config.overrides import OPTION, Override
from samebits.config.sources import SCRIPTS
from samebits.errors import SamebitsError
from samebits.experiment.protocol import CONTROL
from samebits.formats import canonical, files, lockfile
from samebits.replay import allowlist
from samebits.replay import states as kept
from samebits.text import plain
from samebits.verification import artifacts

CERTIFICATE, ALLOW = "certificate", "allow"  # keys of Snakemake's config
EPOCHS, CHECKPOINTS = "epochs", "checkpoints"  # of a spot replay
KEYS = (CERTIFICATE, ALLOW, EPOCHS, CHECKPOINTS)
FORMAT = "samebits-certificate-1"
ENTRY = "certificate.json"  # of a bundle
MOST_BYTES = 1 << 25  # as samebits.certificate.certificate has it, which needs cryptography
_MOST_LINES = 100  # of a refusal; a hostile certificate could ask for millions
_COMPLETED = "completed"  # as train.py records it
_LONGEST = 200  # characters of a module's name
_MAIN, _SCRIPT = "__main__", "train.py"  # how a record names the script that trained
_OF_ENVIRONMENT = re.compile(r"envs/[a-z0-9][A-Za-z0-9._-]*\.txt")

Report = Mapping[str, Any]


@dataclass(frozen=True)
class Asked:
    """What the user asked for: a certificate, and the one function that it may name."""

    path: Path
    allow: str | None
    epochs: int | None = None  # how many, drawn at random; None: all that there are
    states: Path | None = None  # where the certified states are, if not with the certificate


@dataclass(frozen=True)
class Replay:
    """The certificate that an experiment repeats. The jobs must find the same bytes in it."""

    path: str
    digest: str  # SHA-256 of certificate.json, in a bundle too
    commit: str | None  # of the source that ran; the files were compared, whatever it is
    dirty: bool | None
    notes: tuple[str, ...]  # what differs and does not matter, sorted
    epochs: int | None = None  # how many, drawn at random; None: all that there are
    states: str | None = None  # where the certified states are, if not with the certificate

    @property
    def name(self) -> str:
        """The folder under results/, unless the user names it."""
        part = f"-epochs-{self.epochs}" if self.epochs else ""
        return f"replay-{self.digest[:12]}{part}"


def asked(config: Mapping[str, Any]) -> Asked | None:
    """What Snakemake's ``config`` says of a certificate; None: nothing."""
    path, allow, epochs, states = (config.get(key) for key in KEYS)
    if path is None:
        for key in (ALLOW, EPOCHS, CHECKPOINTS):
            if config.get(key) is not None:
                own = "; an experiment's own are trainer.epochs" if key == EPOCHS else ""
                raise SamebitsError(f"{key}: expected {CERTIFICATE}=PATH with it, got none{own}")
        return None
    if allow is not None and not isinstance(allow, str):
        raise SamebitsError(f"{ALLOW}: expected one MODULE.FUNCTION, got {shown(allow)}")
    if epochs is not None and (type(epochs) is not int or epochs < 1):
        raise SamebitsError(f"{EPOCHS}: expected a number from 1, got {shown(epochs)}")
    if states is not None and epochs is None:
        raise SamebitsError(f"{CHECKPOINTS}: expected {EPOCHS}=NUMBER with it, got none")
    return Asked(Path(str(path)), allow, epochs, None if states is None else Path(str(states)))


def plan(
    asked: Asked, own: list[Override], conf: Path, composer: Composer
) -> tuple[list[Override], Replay]:
    """The overrides that make a certificate's experiment here; the user's ``own`` come last.

    Raises SamebitsError with everything in which this checkout would not repeat it.
    """
    # A profile's word on checkpoints is for experiments; here the certificate has the last one.
    own = [override for override in own if override.key != CHECKPOINT]
    try:
        data = _bytes(asked.path)
        report = _report(data)
        _refuse(_spot_problems(asked, report))
        options = _options(report, own, conf)
        wanted, local = _composed(asked, report, [*options, *own], len(options), composer)
        checkout = conf.resolve().parent
        environment = local.identity["framework"]["environment"]
        _refuse(
            [
                *_config_problems(asked, report, local),
                *_code_problems(report, local),
                *_lock_problems(report, checkout, environment),
            ]
        )
    except RecursionError:
        raise _refusal(asked.path, ["expected a certificate, got JSON that is too deep"]) from None
    except _UnfitError as error:
        raise _refusal(asked.path, error.problems) from None
    digest, source = hashlib.sha256(data).hexdigest(), report["source"]
    notes = tuple(sorted(_notes(report, checkout, environment)))
    states = None if asked.states is None else str(asked.states)
    return wanted, Replay(
        str(asked.path), digest, source["commit"], source["dirty"], notes, asked.epochs, states
    )


class _UnfitError(Exception):
    """Why there is nothing to replay, or not here."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = list(problems)
        super().__init__()


def _refuse(problems: Iterable[str]) -> None:
    found = list(problems)
    if found:
        raise _UnfitError(found)


def _refusal(path: Path, problems: Iterable[str]) -> SamebitsError:
    said = sorted({plain(problem) for problem in problems})
    if len(said) > _MOST_LINES:
        said = [*said[:_MOST_LINES], f"and {len(said) - _MOST_LINES} more"]
    return SamebitsError("\n".join([f"{path}: cannot be replayed with this checkout", *said]))


# --- reading what may be hostile ---------------------------------------------------------------


def _bytes(path: Path) -> bytes:
    """The bytes of certificate.json, by itself or in a bundle."""
    if not path.is_file():
        raise _UnfitError([f"expected {ENTRY} or a bundle, got no file; check the path"])
    if artifacts.is_bundle(path):
        with artifacts.opened(path) as files, files.open(ENTRY) as file:
            return _bounded(file)
    with open(path, "rb") as file:
        return _bounded(file)


def _bounded(file: BinaryIO) -> bytes:
    data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise _UnfitError([f"expected at most {MOST_BYTES >> 20} MiB, got more; is it one?"])
    return data


def _report(data: bytes) -> Report:
    """The report of a certificate, its form checked and nothing else."""
    try:
        content = canonical.loads(data)
        as_written = canonical.dumps(content) == data
    except ValueError as error:
        raise _UnfitError([f"expected a certificate in JSON, got: {str(error)[:300]}"]) from None
    if not as_written:
        raise _UnfitError(["expected canonical JSON; get the file as it was written"])
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        got = shown(content.get("format", ABSENT) if isinstance(content, dict) else content)
        raise _UnfitError([f"expected a certificate of format {FORMAT}, got {got}"])
    report = content.get("report")
    _refuse(f"report: {said}" for said in evidence.violations(report))
    return dict(report or {})


def _unfit(report: Report) -> Iterator[str]:
    """Why nothing could be compared with it."""
    control = report["records"]["runs"].get(CONTROL)
    if control is None or control["status"] != _COMPLETED:
        yield "its control run did not complete, so there is nothing to compare with"
    if report["experiment"]["config"] is None:
        yield "it carries no config"


def _spot_problems(asked: Asked, report: Report) -> Iterator[str]:
    """Why a part of it cannot be replayed: before the rest is looked at, and long before a draw."""
    if asked.epochs is None:
        return
    wrong = replays.count_problem(report, asked.epochs)
    if wrong is not None:
        yield wrong
        return
    with kept.opened(asked.path, asked.states) as found:
        yield from found.problems(report)


# --- config ------------------------------------------------------------------------------------


def _options(report: Report, own: Sequence[Override], conf: Path) -> list[Override]:
    """The option of each group, but for those that the user chose."""
    config = report["experiment"]["config"] or {}
    chosen, problems = [], list(_unfit(report))
    users = {o.key for o in own if not isinstance(o.value, Mapping)}
    for group in [group for group in PARTS if group in config and group not in users]:
        valid = sorted(path.stem for path in (conf / group).glob("*.yaml"))
        option = config[group].get(OPTION, ABSENT)
        if option in valid:
            chosen.append(Override(group, option))
        else:
            problems.append(
                f"{group}: the certificate has option {shown(option)}, which this checkout has "
                f"not; it has: {', '.join(valid)}"
            )
    _refuse(problems)
    return chosen


def _composed(
    asked: Asked, report: Report, base: list[Override], options: int, composer: Composer
) -> tuple[list[Override], LocalExperiment]:
    """The overrides with what the certificate may decide, and what they make here."""
    experiment = report["experiment"]
    local = experiments.local(base, composer)
    found = differences(experiment["config"], local.identity)
    taken = list(allowlist.taken(found, experiment["overridden"], asked.allow))
    wanted = [*base[:options], *taken, *base[options:]]
    return wanted, experiments.local(wanted, composer) if taken else local


def _config_problems(asked: Asked, report: Report, local: LocalExperiment) -> Iterator[str]:
    """What still differs. Nothing: the experiment is the certificate's, to the last byte."""
    experiment = report["experiment"]
    left = list(differences(experiment["config"], local.identity))
    yield from allowlist.lines(left, experiment["overridden"], asked.allow)
    if not left and canonical.digest(local.identity) != experiment["digest"]:
        yield "experiment.digest: it is not the digest of the certificate's config"


# --- code --------------------------------------------------------------------------------------


def _code_problems(report: Report, local: LocalExperiment) -> Iterator[str]:
    """The modules that the control ran, and those that would run here."""
    roots = (SCRIPTS, Path(local.source_path))
    named = {(m["module"], m["sha256"]) for m in report["records"]["runs"][CONTROL]["source"]}
    here = {module: _file(module, roots) for module in {module for module, _ in named}}
    digests = {path: files.digest(path) for path in here.values() if path}
    for module, sha256 in named:
        path = here[module]
        if path is None:
            yield f"{module[:_LONGEST]}: the certificate ran this module, this checkout has none"
        elif digests[path] != sha256:
            yield _differ(_shown_path(path), {sha256}, digests[path])
    for module in _needed(local) - set(here):
        yield f"{module}: this checkout runs this module, the certificate does not name it"


def _needed(local: LocalExperiment) -> set[str]:
    """What a record names at least: the training's modules, and the model's."""
    target = str(local.identity["model"].get("_target_", ""))
    return {_MAIN, target.rpartition(".")[0], *_imported_by_training()} - {""}


@cache
def _imported_by_training() -> frozenset[str]:
    found = sources.closure(SCRIPTS / _SCRIPT, SCRIPTS) - {SCRIPTS / _SCRIPT}
    names = (".".join(path.relative_to(SCRIPTS).with_suffix("").parts) for path in found)
    return frozenset(name.removesuffix(".__init__") for name in names)


def _file(module: str, roots: Sequence[Path]) -> Path | None:
    """The file of a module by its name, which may be anything."""
    if module == _MAIN:
        return SCRIPTS / _SCRIPT
    parts = module.split(".")
    if len(module) > _LONGEST or not all(part.isidentifier() for part in parts):
        return None
    for root in roots:
        base = root.joinpath(*parts)
        for path in (base.with_name(f"{base.name}.py"), base / "__init__.py"):
            if path.is_file():
                return path
    return None


def _shown_path(path: Path) -> str:
    inside = SCRIPTS in path.parents
    return str(path.relative_to(SCRIPTS.parent) if inside else path)


def _differ(name: str, there: Iterable[str], here: str | None) -> str:
    said = ", ".join(sorted(there))
    return f"{name}: the certificate has SHA-256 {said}, this checkout {here or 'no such file'}"


# --- locks -------------------------------------------------------------------------------------


def _determining(environment: str) -> tuple[str, ...]:
    """The files that decide which software the data and the training came from.

    The environments that compare and certify may be others: what they find is found again by
    verify, from the evidence. So may be the pin file of the one that loads: what it gives is held
    to the digest of the data set.
    """
    train = f"envs/{environment}"
    return (f"{train}{lockfile.SUFFIX}", f"{train}{lockfile.PINS}", f"envs/load{lockfile.SUFFIX}")


def _lock_problems(report: Report, checkout: Path, environment: str) -> Iterator[str]:
    named = _named_files(report)
    for name in _determining(environment):
        there, here = named.get(name, set()), _digest(checkout / name)
        if not there:
            yield f"{name}: this checkout installs from it, the certificate does not name it"
        elif there != {here}:
            yield _differ(name, there, here)
    if report["lock"]["text"] is None:
        yield "it carries no lock of the training environment"


def _named_files(report: Report) -> dict[str, set[str]]:
    """All digests that a certificate has for each file, wherever it names one."""
    lock, found = report["lock"], dict[str, set[str]]()
    for dependency in report["dependencies"]:
        found.setdefault(dependency["name"], set()).add(dependency["sha256"])
    carried = found.setdefault(lock["name"], set())
    carried.add(report["records"]["runs"][CONTROL]["lock"])
    if lock["text"] is not None:
        carried.add(hashlib.sha256(lock["text"].encode("utf-8")).hexdigest())
    return found


def _digest(path: Path) -> str | None:
    return files.digest(path) if path.is_file() else None


def _notes(report: Report, checkout: Path, environment: str) -> Iterator[str]:
    """Files of other environments that differ: for the user to know."""
    for name, there in _named_files(report).items():
        if name in _determining(environment) or not _OF_ENVIRONMENT.fullmatch(name):
            continue
        here = _digest(checkout / name)
        if there != {here}:
            yield _differ(name, there, here)
