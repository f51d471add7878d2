"""The experiment of a certificate, composed from this checkout, or why it cannot be.

INPUTS      certificate.json or a bundle, from anybody; the checkout; the user's overrides
OUTPUTS     the overrides that make the experiment here, and a ReplayPlan
GUARANTEES  the experiment is the certificate's, to the last byte of its config; every file that
            can change the bits is the certificate's: the training's source, the user's modules, the
            locks of load and training; everything in which this checkout differs is listed at once;
            other source and locks may differ, with a note; of the config a certificate sets only
            what samebits.replay.allowlist permits, and no code of its own

Whether a certificate can be trusted is decided later, by prepare_replay, in an environment that can
check signatures: nothing here needs more than Snakemake does.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from samebits.certificate import evidence, replays
from samebits.certificate.report import git
from samebits.config import experiment as experiments
from samebits.config import sources
from samebits.config.compose import Composer
from samebits.config.experiment import CHECKPOINT, PARTS, LocalExperiment
from samebits.config.keys import ABSENT, differences, shown
from samebits.config.overrides import OPTION, Override
from samebits.errors import SamebitsError
from samebits.experiment.protocol import CONTROL
from samebits.formats import canonical, files, lockfile
from samebits.replay import allowlist
from samebits.replay import states as checkpoints
from samebits.text import plain
from samebits.verification import artifacts

CERTIFICATE, ALLOW = "certificate", "allow"  # keys of Snakemake's config
EPOCHS, CHECKPOINTS = "epochs", "checkpoints"  # of a replay of sampled epochs
KEYS = (CERTIFICATE, ALLOW, EPOCHS, CHECKPOINTS)
FORMAT = "samebits-certificate-1"
ENTRY = "certificate.json"  # of a bundle
MOST_BYTES = 1 << 25  # as samebits.certificate.certificate has it, which needs cryptography
_MOST_LINES = 100  # of a refusal; a hostile certificate could ask for millions
_LONGEST = 200  # characters of a module's name
_MAIN, _SCRIPT = "__main__", "train.py"  # how a record names the script that trained
_OF_ENVIRONMENT = re.compile(r"envs/[a-z0-9][A-Za-z0-9._-]*\.txt")
_SOURCE = ("Snakefile", "rules", "scripts")

Report = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class ReplayRequest:
    """What the user asked for: a certificate, and the one function that it may name."""

    path: Path
    allow: str | None = None
    epochs: int | None = None  # how many to sample; None: all are trained
    states: Path | None = None  # where the control's checkpoints are, if not with the certificate


@dataclass(frozen=True, kw_only=True)
class ReplayPlan(ReplayRequest):
    """The certificate that an experiment repeats. The jobs must find the same bytes in it."""

    digest: str  # SHA-256 of certificate.json, in a bundle too
    notes: tuple[str, ...]  # what differs and cannot change the bits, sorted

    @property
    def name(self) -> str:
        """The folder under results/, unless the user names it."""
        part = f"-epochs-{self.epochs}" if self.epochs else ""
        return f"replay-{self.digest[:12]}{part}"


def requested(config: Mapping[str, Any]) -> ReplayRequest | None:
    """The replay that Snakemake's ``config`` asks for; None: none."""
    path, allow, epochs, elsewhere = (config.get(key) for key in KEYS)
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
    if elsewhere is not None and epochs is None:
        raise SamebitsError(f"{CHECKPOINTS}: expected {EPOCHS}=NUMBER with it, got none")
    states = None if elsewhere is None else Path(str(elsewhere))
    return ReplayRequest(path=Path(str(path)), allow=allow, epochs=epochs, states=states)


def plan(
    request: ReplayRequest, own: list[Override], conf: Path, composer: Composer
) -> tuple[list[Override], ReplayPlan]:
    """The overrides that make a certificate's experiment here; the user's ``own`` come last.

    Raises SamebitsError with every difference that keeps this checkout from repeating it.
    """
    # A profile asks for checkpoints for the user's own experiments; a certificate has its own.
    own = [override for override in own if override.key != CHECKPOINT]
    checkout = conf.resolve().parent
    try:
        data = _bytes(request.path)
        report = _report(data)
        _require_none(_epoch_problems(request, report))
        options = _options(report, own, conf)
        wanted, local = _composed(request, report, options, own, composer)
        environment = local.identity["framework"]["environment"]
        _require_none(
            [
                *_config_problems(request, report, local),
                *_code_problems(report, local),
                *_lock_problems(report, checkout, environment),
            ]
        )
    except RecursionError:
        raise _refusal(request.path, ["expected a certificate, got JSON nested too deep"]) from None
    except _UnfitError as error:
        raise _refusal(request.path, error.problems) from None
    notes = _lines([*_lock_notes(report, checkout, environment), *_source_notes(report, checkout)])
    digest = hashlib.sha256(data).hexdigest()
    return wanted, ReplayPlan(**vars(request), digest=digest, notes=tuple(notes))


class _UnfitError(Exception):
    """Why there is nothing to replay, or not with this checkout."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = list(problems)
        super().__init__()


def _require_none(problems: Iterable[str]) -> None:
    found = list(problems)
    if found:
        raise _UnfitError(found)


def _refusal(path: Path, problems: Iterable[str]) -> SamebitsError:
    return SamebitsError(
        "\n".join([f"{path}: cannot be replayed with this checkout", *_lines(problems)])
    )


def _lines(texts: Iterable[str]) -> list[str]:
    """Sorted, not too many, and nothing in them steers a terminal."""
    lines = sorted({plain(text) for text in texts})
    if len(lines) > _MOST_LINES:
        lines = [*lines[:_MOST_LINES], f"and {len(lines) - _MOST_LINES} more"]
    return lines


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
    _require_none(f"report: {said}" for said in evidence.violations(report))
    return dict(report or {})


def _epoch_problems(request: ReplayRequest, report: Report) -> Iterator[str]:
    """Why its epochs cannot be sampled: before the rest is looked at, and long before a draw."""
    if request.epochs is None:
        return
    wrong = replays.count_problem(report, request.epochs)
    if wrong is not None:
        yield wrong
        return
    with checkpoints.opened(request.path, request.states) as found:
        yield from found.problems(report)


# --- config ------------------------------------------------------------------------------------


def _options(report: Report, own: Sequence[Override], conf: Path) -> list[Override]:
    """The option of each group, but for those that the user chose."""
    config = report["experiment"]["config"]
    problems = list(replays.unfit(report))
    if config is None:
        problems.append("it carries no config")
    _require_none(problems)
    chosen = []
    users = {override.key for override in own if not isinstance(override.value, Mapping)}
    for group in [group for group in PARTS if group in config and group not in users]:
        available = sorted(path.stem for path in (conf / group).glob("*.yaml"))
        option = config[group].get(OPTION, ABSENT)
        if option in available:
            chosen.append(Override(group, option))
        else:
            problems.append(
                f"{group}: this checkout has no option {shown(option)}; "
                f"available: {', '.join(available)}"
            )
    _require_none(problems)
    return chosen


def _composed(
    request: ReplayRequest,
    report: Report,
    options: list[Override],
    own: list[Override],
    composer: Composer,
) -> tuple[list[Override], LocalExperiment]:
    """The overrides with those that the certificate may set, and what they make here."""
    experiment = report["experiment"]
    local = experiments.local([*options, *own], composer)
    found = differences(experiment["config"], local.identity)
    taken = list(allowlist.taken(found, experiment["overridden"], request.allow))
    wanted = [*options, *taken, *own]
    return wanted, experiments.local(wanted, composer) if taken else local


def _config_problems(
    request: ReplayRequest, report: Report, local: LocalExperiment
) -> Iterator[str]:
    """What still differs. Without any, the config is the certificate's to the last byte."""
    experiment = report["experiment"]
    left = list(differences(experiment["config"], local.identity))
    yield from allowlist.lines(left, experiment["overridden"], request.allow)
    if not left and canonical.digest(local.identity) != experiment["digest"]:
        yield "experiment.digest: not the digest of the certificate's config"


# --- files that can change the bits --------------------------------------------------------------


def _code_problems(report: Report, local: LocalExperiment) -> Iterator[str]:
    """How the modules that the control imported differ from those that would be imported here."""
    roots = (sources.SCRIPTS, Path(local.source_path))
    named = {(m["module"], m["sha256"]) for m in report["records"]["runs"][CONTROL]["source"]}
    here = {module: _file(module, roots) for module, _ in named}
    digests = {path: files.digest(path) for path in here.values() if path}
    for module, sha256 in named:
        path = here[module]
        if path is None:
            yield f"{module[:_LONGEST]}: the certificate's run imported it, this checkout has none"
        elif digests[path] != sha256:
            yield _differ(_shown_path(path), {sha256}, digests[path])
    for module in _needed(local) - set(here):
        yield f"{module}: this checkout's training imports it, the certificate does not list it"


def _needed(local: LocalExperiment) -> set[str]:
    """What a record names at least: the training's modules, and the model's."""
    scripts, script = sources.SCRIPTS, sources.SCRIPTS / _SCRIPT
    imported = sources.closure(script, scripts) - {script}
    names = (".".join(path.relative_to(scripts).with_suffix("").parts) for path in imported)
    target = str(local.identity["model"].get("_target_", ""))
    modules = (name.removesuffix(".__init__") for name in names)
    return {_MAIN, target.rpartition(".")[0], *modules} - {""}


def _file(module: str, roots: Sequence[Path]) -> Path | None:
    """The file of a module by its name, which may be anything."""
    if module == _MAIN:
        return sources.SCRIPTS / _SCRIPT
    if len(module) > _LONGEST or not all(part.isidentifier() for part in module.split(".")):
        return None
    return next((path for root in roots for path in sources.module_files(root, module)), None)


def _shown_path(path: Path) -> str:
    inside = sources.SCRIPTS in path.parents
    return str(path.relative_to(sources.SCRIPTS.parent) if inside else path)


def _differ(name: str, theirs: Iterable[str], ours: str | None) -> str:
    digests = ", ".join(sorted(theirs))
    return f"{name}: the certificate has SHA-256 {digests}, this checkout {ours or 'no such file'}"


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
        theirs, ours = named.get(name, set()), _digest(checkout / name)
        if not theirs:
            yield f"{name}: this checkout installs from it, the certificate does not list it"
        elif theirs != {ours}:
            yield _differ(name, theirs, ours)
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


# --- files that cannot ---------------------------------------------------------------------------


def _lock_notes(report: Report, checkout: Path, environment: str) -> Iterator[str]:
    """Locks and pin files of other environments that differ."""
    for name, theirs in _named_files(report).items():
        if name in _determining(environment) or not _OF_ENVIRONMENT.fullmatch(name):
            continue
        ours = _digest(checkout / name)
        if theirs != {ours}:
            yield _differ(name, theirs, ours)


def _source_notes(report: Report, checkout: Path) -> Iterator[str]:
    """Source files that differ, as far as git can tell: those that decide were compared."""
    commit, dirty = report["source"]["commit"], report["source"]["dirty"]
    changed = commit and git(checkout, "diff", "--name-only", "--relative", commit, "--", *_SOURCE)
    if changed is None:
        found = f"the certificate's commit, {commit}, is not in this checkout"
        yield (
            f"{found if commit else 'the certificate names no commit'}; only source files that "
            "can change the bits were compared"
        )
        return
    if dirty is not False:
        yield f"the certificate's checkout had uncommitted changes to commit {commit}"
    for name in changed.splitlines():
        yield f"{name}: changed since the certificate's commit; it cannot change the bits"
