"""The experiment of a certificate, composed from this checkout, or why it cannot be.

    certificate=PATH    a replay: the certificate's config, code and locks, else it is refused
    against=PATH        the user's own config and the present code, compared with a certificate

INPUTS      certificate.json or a bundle, from anybody; the checkout; the user's overrides
OUTPUTS     the overrides that make the experiment here, and a ReplayPlan
GUARANTEES  the experiment is the certificate's, to the last byte of its config; every file that
            can change the bits is the certificate's: the training's source, the user's modules, the
            locks of load and training; everything in which this checkout differs is listed at once;
            other source and locks may differ, with a note; of the config a certificate sets only
            what samebits.replay.allowlist permits, and no code of its own; with against=PATH it
            sets nothing, and each key that differs is a note

Whether a certificate can be trusted is decided later, by prepare_replay, in an environment that can
check signatures: nothing here needs more than Snakemake does.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samebits.certificate import replays, schema, signatories
from samebits.config import experiment as experiments
from samebits.config import program as programs
from samebits.config import sources
from samebits.config.compose import Composer
from samebits.config.experiment import CHECKPOINT, PARTS, LocalExperiment
from samebits.config.keys import ABSENT, differences, shown
from samebits.config.overrides import OPTION, Override
from samebits.environments import packages
from samebits.errors import SamebitsError, require_none
from samebits.experiment.protocol import CONTROL
from samebits.formats import as_installed, canonical, files, lockfile
from samebits.formats.names import CERTIFICATE_FILE, MOST_BYTES
from samebits.observation.checkout import git
from samebits.observation.executed import as_named, is_input
from samebits.replay import allowlist, inputs
from samebits.replay import states as checkpoints
from samebits.text import few, plain
from samebits.verification import artifacts

CERTIFICATE, ALLOW = "certificate", "allow"  # keys of Snakemake's config
EPOCHS, CHECKPOINTS = "epochs", "checkpoints"  # of a replay of sampled epochs
AGAINST, BITS, SAME_BITS = "against", "bits", "same"
KEYS = (CERTIFICATE, ALLOW, EPOCHS, CHECKPOINTS, AGAINST, BITS)
_MOST_LINES = 100  # of a refusal; a hostile certificate could ask for millions
_LONGEST = 200  # characters of a module's name
_MAIN = "__main__"  # how a record names the script that trained
_OF_ENVIRONMENT = re.compile(r"envs/[a-z0-9][A-Za-z0-9.+_-]*\.txt")
_LOAD = f"envs/load{lockfile.SUFFIX}"
_CODE = ("Snakefile", "rules", "scripts")

Report = Mapping[str, Any]
Overrides = list[Override]


@dataclass(frozen=True, kw_only=True)
class ReplayRequest:
    """The user's request: a certificate, and the one function that it may name."""

    path: Path
    against: bool = False  # the user's own experiment is compared with it
    same: bool = False  # other bits are a failure
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
        if self.against:
            return f"against-{self.digest[:12]}"
        return f"replay-{self.digest[:12]}" + (f"-epochs-{self.epochs}" if self.epochs else "")


def requested(config: Mapping[str, Any]) -> ReplayRequest | None:
    """The replay that Snakemake's ``config`` asks for; None: none."""
    path, allow, epochs, elsewhere, golden, bits = (config.get(key) for key in KEYS)
    if golden is not None:
        return _against(config)
    if bits is not None:
        raise SamebitsError(f"{BITS}: expected {AGAINST}=PATH with it, got none")
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
    states = Path(str(elsewhere)) if elsewhere else None
    return ReplayRequest(path=Path(str(path)), allow=allow, epochs=epochs, states=states)


def _against(config: Mapping[str, Any]) -> ReplayRequest:
    require_none(
        f"{key}: is for a replay; leave out {key} or {AGAINST}"
        for key in (CERTIFICATE, ALLOW, EPOCHS, CHECKPOINTS)
        if config.get(key) is not None
    )
    path, bits = Path(str(config[AGAINST])), config.get(BITS)
    if bits not in (None, SAME_BITS):
        raise SamebitsError(f"{BITS}: expected {BITS}={SAME_BITS}, got {shown(bits)}")
    return ReplayRequest(path=path, against=True, same=bits == SAME_BITS)


def plan(
    request: ReplayRequest, own: Overrides, conf: Path, composer: Composer
) -> tuple[Overrides, ReplayPlan]:
    """The overrides that make a certificate's experiment here; the user's ``own`` come last.

    Raises SamebitsError with every difference that keeps this checkout from repeating it.
    """
    if request.against:
        return own, _compared(request, own, composer)
    # A profile's choice of checkpoints is for the user's own experiments.
    own = [override for override in own if override.key != CHECKPOINT]
    checkout = conf.resolve().parent
    try:
        data = _bytes(request.path)
        report: Report = schema.parse(data)["report"]
        _require_none(_epoch_problems(request, report))
        options = _options(report, own, conf)
        wanted, local = _composed(request, report, options, own, composer)
        decisive, other = _lock_differences(report, checkout, local)
        problems = [*_config_problems(report, local, request.allow), *decisive]
        problems += _code_problems(report, local)
        changes = list(inputs.differences(_files(report), Path(local.source_path)))
        _require_none([*problems, *(_changed(d) for d in changes if d.own or d.expected)])
    except SamebitsError as error:
        refused = f"{request.path}: cannot be replayed with this checkout"
        raise SamebitsError(f"{refused}\n{error}") from None
    elsewhere = (_changed(d) for d in changes if not (d.own or d.expected))
    notes = _lines([*other, *elsewhere, *_source_notes(report, checkout, local)])
    digest = hashlib.sha256(data).hexdigest()
    return wanted, ReplayPlan(**vars(request), digest=digest, notes=tuple(notes))


def _compared(request: ReplayRequest, own: Overrides, composer: Composer) -> ReplayPlan:
    """The user's own experiment beside a certificate, with each key of the config that differs."""
    try:
        data = _bytes(request.path)
        report: Report = schema.parse(data)["report"]
        _require_none(signatories.unfit(report))
    except SamebitsError as error:
        raise SamebitsError(f"{request.path}: cannot be compared with\n{error}") from None
    theirs = report["records"]["runs"][CONTROL]["config"]
    found = differences(theirs, experiments.local(own, composer).identity)
    notes = [f"{d.key}: the certificate has {shown(d.expected)}, you {shown(d.got)}" for d in found]
    digest = hashlib.sha256(data).hexdigest()
    return ReplayPlan(**vars(request), digest=digest, notes=tuple(_lines(notes)))


def require_elsewhere(path: Path, results: Path) -> None:
    """Raise SamebitsError if a run would be written where the certificate lies that it repeats.

    ``results``: the folder that is written. Its files would replace the certified ones.
    """
    above = {*path.resolve().parents, *path.absolute().parents} if results.exists() else ()
    if any(results.samefile(folder) for folder in above):
        raise SamebitsError(
            f"name={results.name}: the run would be written into {results}, where the certificate "
            "lies that it repeats; leave name out, in config files too, or choose another"
        )


def _require_none(problems: Iterable[str]) -> None:
    lines = _lines(problems)
    if lines:
        raise SamebitsError("\n".join(lines))


def _lines(texts: Iterable[str]) -> list[str]:
    """Sorted, not too many, and nothing in them steers a terminal."""
    lines = sorted({plain(text) for text in texts})
    if len(lines) > _MOST_LINES:
        lines = [*lines[:_MOST_LINES], f"and {len(lines) - _MOST_LINES} more"]
    return lines


# --- the certificate, which may be hostile -------------------------------------------------------


def _bytes(path: Path) -> bytes:
    """The bytes of certificate.json, alone or in a bundle."""
    if not path.is_file():
        raise SamebitsError(f"expected {CERTIFICATE_FILE} or a bundle, got no file; check the path")
    if artifacts.is_bundle(path):
        with artifacts.opened(path) as files, files.open(CERTIFICATE_FILE) as file:
            return file.read(MOST_BYTES + 1)
    with open(path, "rb") as file:  # one byte more than is allowed, to notice it
        return file.read(MOST_BYTES + 1)


def _epoch_problems(request: ReplayRequest, report: Report) -> Iterator[str]:
    """Why its epochs cannot be sampled."""
    if request.epochs is None:
        return
    problem = replays.count_problem(report, request.epochs)
    if problem is not None:
        yield problem
        return
    with checkpoints.opened(request.path, request.states) as found:
        yield from found.problems(report)


# --- config --------------------------------------------------------------------------------------


def _options(report: Report, own: Sequence[Override], conf: Path) -> Overrides:
    """The certificate's option of each group for which the user chose none."""
    config = report["experiment"]["config"]
    _require_none(
        [*signatories.unfit(report), *(["it carries no config"] if config is None else [])]
    )
    chosen, problems = list[Override](), list[str]()
    users = {override.key for override in own if not isinstance(override.value, Mapping)}
    for group in [group for group in PARTS if group in config and group not in users]:
        available = sorted(path.stem for path in (conf / group).glob("*.yaml"))
        option = config[group].get(OPTION, ABSENT)
        chosen.append(Override(group, option))
        if option not in available:
            options = ", ".join(available)
            problems.append(
                f"{group}: this checkout has no option {shown(option)}; available: {options}"
            )
    named = "program" not in config or programs.SCRIPT in users
    found = [] if named else list(allowlist.program(config["program"], users))
    if not named and not found:
        words = shown(config["program"]["words"])
        problems.append(f"it is of a program, {words}; name yours: {programs.SCRIPT}='…'")
    _require_none(problems)
    return [*chosen, *found]


def _composed(
    request: ReplayRequest, report: Report, options: Overrides, own: Overrides, composer: Composer
) -> tuple[Overrides, LocalExperiment]:
    """All overrides, including those that the certificate may set, and the experiment they make."""
    experiment = report["experiment"]
    local = experiments.local([*options, *own], composer)
    found = differences(experiment["config"], local.identity)
    taken = list(allowlist.taken(found, experiment["overridden"], request.allow))
    wanted = [*options, *taken, *own]
    return wanted, experiments.local(wanted, composer) if taken else local


def _config_problems(report: Report, local: LocalExperiment, allow: str | None) -> Iterator[str]:
    """Where the configs still differ; nowhere means that they are equal to the last byte."""
    experiment = report["experiment"]
    left = list(differences(experiment["config"], local.identity))
    yield from allowlist.lines(left, experiment["overridden"], allow)
    if not left and canonical.digest(local.identity) != experiment["digest"]:
        yield "experiment.digest: not the digest of the certificate's config"


# --- files that can change the bits --------------------------------------------------------------


def _code_problems(report: Report, local: LocalExperiment) -> Iterator[str]:
    """How the modules that the control imported differ from those of this checkout."""
    here = _modules(report, local)
    digests = {path: files.digest(path) for path in here.values() if path}
    for (module, sha256), path in here.items():
        if path is None:
            yield f"{module[:_LONGEST]}: the certificate's run executed it, and it is not here"
        elif digests[path] != sha256:
            yield _differ(_shown_path(path), {sha256}, digests[path])
    for module in _needed(local) - {module for module, _ in here}:
        yield f"{module}: this checkout's training imports it, the certificate does not list it"


def _files(report: Report) -> dict[str, Any]:
    """The files that the control opened, which are no modules."""
    control = report["records"]["runs"][CONTROL]
    return {"files": control["files"], "config": control["config"]}


def _changed(found: inputs.Difference) -> str:
    """A file that the control read, listed, or looked for in vain, and what it is here."""
    if found.expected is None:
        return f"{found.path}: it {found.what}, as it was not for the certificate's run"
    way_out = "" if found.own else "; it lies outside of the source: put that file there"
    read = f"the certificate's run read SHA-256 {found.expected}"
    return f"{found.path}: {read}, and here it {found.what}{way_out}"


def _modules(report: Report, local: LocalExperiment) -> dict[tuple[str, str], Path | None]:
    """The modules that the control imported, with their SHA-256 then and their file here."""
    listed = report["records"]["runs"][CONTROL]["source"]
    return {(m["module"], m["sha256"]): _file(m, Path(local.source_path)) for m in listed}


def _shown_path(path: Path) -> str:
    inside = sources.SCRIPTS in path.parents
    return str(path.relative_to(sources.SCRIPTS.parent) if inside else path)


def _needed(local: LocalExperiment) -> set[str]:
    """The modules that every record lists: the training's and the model's."""
    name = "program.py" if "program" in local.identity else "train.py"
    scripts, script = sources.SCRIPTS, sources.SCRIPTS / name
    imported = sources.closure(script, scripts) - {script}
    names = (".".join(path.relative_to(scripts).with_suffix("").parts) for path in imported)
    target = str(local.identity.get("model", {}).get("_target_", ""))
    modules = (name.removesuffix(".__init__") for name in names)
    return {_MAIN, target.rpartition(".")[0], *modules} - {""}


def _file(entry: Mapping[str, str], source_path: Path) -> Path | None:
    """The file of an executed module by its name, which may be anything."""
    module, root = entry["module"], source_path
    own = module == _MAIN or module.partition(".")[0] == sources.OWN
    if own:
        root = sources.SCRIPTS.parent
    path = as_named(root / entry["path"])
    if (
        len(module) > _LONGEST
        or not is_input(str(path))
        or (own and sources.SCRIPTS not in path.parents)
    ):
        return None
    try:
        return path if path.is_file() else None
    except OSError:  # no name of a file
        return None


def _lock_differences(
    report: Report, checkout: Path, local: LocalExperiment
) -> tuple[list[str], list[str]]:
    """How locks and pin files differ: those that decide the bits, and the rest.

    The data and the training come from the locks of load and training. Other environments may
    differ: verify repeats their findings from the evidence. So may the pin file of load, whose
    result must have the digest of the data set.
    """
    named, decide = _named_files(report), {_LOAD: checkout / _LOAD}
    theirs, own = report["lock"]["text"], list[str]()
    if local.installed and theirs is not None:
        del named[report["lock"]["name"]]
        own = as_installed.differences(theirs, local.installed.lock)
    else:
        name, lock = _training_lock(report, checkout, local)
        pins = f"envs/{local.identity['framework']['environment']}{lockfile.PINS}"
        decide |= {name: lock, pins: checkout / pins}
    # Python itself, built elsewhere from the same source, is told as the machine is.
    built = [line for line in own if line.startswith(f"{as_installed.PYTHON}: ")]
    decisive = [line for line in own if line not in built]
    for name, path in decide.items():
        decisive += _difference(name, named.pop(name, set()), path)
    if theirs is None:
        decisive.append("it carries no lock of the training environment")
    rest = {name: theirs for name, theirs in named.items() if _OF_ENVIRONMENT.fullmatch(name)}
    other = [line for n in rest for line in _difference(n, rest[n], checkout / n)]
    return decisive, [*built, *other]


def _training_lock(report: Report, checkout: Path, local: LocalExperiment) -> tuple[str, Path]:
    """What a certificate calls the lock of the training environment, and the one that is here."""
    name = f"{local.identity['framework']['environment']}{lockfile.SUFFIX}"
    if (local.identity.get("program") or {}).get(programs.PACKAGES):
        return report["lock"]["name"], packages.place(Path(local.source_path), name)
    return f"envs/{name}", checkout / "envs" / name


def _difference(name: str, theirs: set[str], path: Path) -> list[str]:
    ours = files.digest(path) if path.is_file() else None
    return [] if theirs == {ours} else [_differ(name, theirs, ours)]


def _named_files(report: Report) -> dict[str, set[str]]:
    """All digests that a certificate lists for each file."""
    lock, found = report["lock"], dict[str, set[str]]()
    for dependency in report["dependencies"]:
        found.setdefault(dependency["name"], set()).add(dependency["sha256"])
    carried = found.setdefault(lock["name"], set())
    carried.add(report["records"]["runs"][CONTROL]["lock"])
    if lock["text"] is not None:
        carried.add(hashlib.sha256(lock["text"].encode("utf-8")).hexdigest())
    return found


def _differ(name: str, theirs: Iterable[str], ours: str | None) -> str:
    digests = ", ".join(sorted(theirs)) or "none"
    return f"{name}: the certificate has SHA-256 {digests}, this checkout {ours or 'no such file'}"


# --- source that cannot change the bits ----------------------------------------------------------


def _source_notes(report: Report, checkout: Path, local: LocalExperiment) -> Iterator[str]:
    """Other source files that git sees changed since the certificate's commit."""
    commit, others = report["source"]["commit"], report["source"]["changed"]
    only = "only source files that can change the bits were compared"
    if commit is None:
        yield f"the certificate names no commit; {only}"
        return
    try:
        changed = git(checkout, "diff", "--name-only", "--relative", commit, "--", *_CODE)
    except SamebitsError:
        yield f"the certificate's commit, {commit}, is not in this checkout; {only}"
        return
    if others != []:
        names = few(others) if others else "files that are not known"
        yield f"the certificate's checkout had uncommitted changes to commit {commit}: {names}"
    compared = {_shown_path(path) for path in _modules(report, local).values() if path}
    for name in sorted(set(changed.splitlines()) - compared):
        yield f"{name}: changed since the certificate's commit; it cannot change the bits"
