"""The results as a Workflow Run RO-Crate: their files, origin, workflow and time.

It conforms to RO-Crate 1.1, Workflow RO-Crate 1.0 and, of the profiles at
https://w3id.org/ro/wfrun, to Process Run Crate 0.5 and Workflow Run Crate 0.5. Not to Provenance
Run Crate: that asks for every step's execution, and a certificate records that of trainings only.
Everything is derived from the certificate, except the size and digest of the certificate's own
file and of its renderings. The same certificate and files give the same bytes.
"""

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rocrate.model.contextentity import ContextEntity
from rocrate.model.entity import Entity
from rocrate.rocrate import ROCrate

from samebits.errors import SamebitsError, all_problems
from samebits.formats import canonical, files
from samebits.formats.names import UNSIGNED

_PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
_TERMS = "https://w3id.org/ro/terms/workflow-run/context"  # has sha256
_FORMATS = {
    ".cdx.json": "application/vnd.cyclonedx+json",
    ".json": "application/json",
    ".html": "text/html",
    ".svg": "image/svg+xml",
    ".zip": "application/zip",
}
_INSIDE = ("config.json", "train/", "compare/")  # evidence that lies in the results' folder
SNAKEFILE = "Snakefile"  # as the certificate names it
WORKFLOW = "workflow.smk"  # its copy, under a name that Snakemake does not take up by itself
_CLOCK = "clock"  # a run under a shifted clock does not know when it started


@dataclass(frozen=True)
class Rendering:
    """A file that was made from the certificate, or from a ``lock`` that it names."""

    path: Path
    description: str
    lock: str | None = None


def describe(path: Path, folder: Path, renderings: Sequence[Rendering]) -> str:
    """The text of ``ro-crate-metadata.json`` for the results in a folder, by their certificate.

    The folder must hold the evidence of the certificate (see ``require_unchanged``) and a copy of
    the Snakefile.
    """
    certificate = canonical.read_json(path)
    report = certificate["report"]
    crate = ROCrate(version="1.1")
    crate.metadata.extra_contexts.append(_TERMS)
    inputs = list(_inputs(crate, report))
    results = list(_evidence(crate, report, folder))
    results.append(_renderings(crate, folder, path, renderings))
    workflow = _workflow(crate, folder, report)
    action = _action(crate, certificate, workflow)
    action["object"] = inputs + [entity for entity in results if entity.id == "config.json"]
    action["result"] = [entity for entity in results if entity.id != "config.json"]
    _describe_root(crate, certificate, action)
    made = crate.metadata.generate()
    return json.dumps(made, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def known_digests(report: Mapping[str, Any]) -> dict[str, str]:
    """The files' digests in a report, by name."""
    named = [*report["evidence"], *report["dependencies"]]
    return {item["name"]: item["sha256"] for item in named if item["sha256"]}


def _describe_root(crate: ROCrate, certificate: Mapping[str, Any], action: Entity) -> None:
    report, root = certificate["report"], crate.root_dataset
    unsigned = ", UNSIGNED" if certificate["signature"] == UNSIGNED else ""
    root["name"] = f"{report['experiment']['name']}: {report['verdict']}{unsigned}"
    root["description"] = (
        f"The verdict of samebits on the experiment {root['name']}. "
        "Its conditions and its evidence are in certificate.json."
    )
    root["datePublished"] = report["issued"]
    # Workflow RO-Crate 1.0 requires a license. Nobody gave one, and this says so.
    words = "The issuer of the certificate did not say how these results may be used."
    named = {"name": "No license stated", "description": words}
    root["license"] = _add(crate, "#license", "CreativeWork", **named)
    for url, title in _PROFILES.items():
        version = url.rpartition("/")[2]
        profile = _add(crate, url, "CreativeWork", name=title, version=version)
        root.append_to("conformsTo", profile)
    root["mentions"] = action


# --- the run -----------------------------------------------------------------------------------


def _workflow(crate: ROCrate, folder: Path, report: Mapping[str, Any]) -> Entity:
    """The Snakefile, whose digest the certificate has."""
    commit, others = report["source"]["commit"], report["source"]["changed"]
    at = f"the git commit {commit}" if commit else "an unknown commit"
    changed = ", with uncommitted changes" if commit and others != [] else ""
    words = f"The file Snakefile of samebits at {at}{changed}."
    properties = _properties(folder / WORKFLOW, SNAKEFILE, words, "text/plain")
    properties |= {"version": commit} if commit and others == [] else {}
    return crate.add_workflow(
        dest_path=WORKFLOW, main=True, lang="snakemake", properties=properties
    )


def _action(crate: ROCrate, certificate: Mapping[str, Any], workflow: Entity) -> Entity:
    report = certificate["report"]
    repeat, start = "; ".join(report["how_to_repeat"]), _start(report)
    words = "It starts with the first training and ends with the certificate."
    properties = {
        "name": f"Training, comparison and certification of {report['experiment']['name']}",
        "description": words + (f" To repeat it: {repeat}" if repeat else ""),
        "instrument": workflow,
        "agent": _issuer(crate, certificate),
        "endTime": report["issued"],
        "actionStatus": "http://schema.org/CompletedActionStatus",
    } | ({"startTime": start} if start else {})
    name = uuid.uuid5(uuid.NAMESPACE_OID, canonical.digest(report)).urn
    return _add(crate, name, "CreateAction", **properties)


def _start(report: Mapping[str, Any]) -> str | None:
    """When the first training started, according to the runs that know the time."""
    known = [r for r in report["records"]["runs"].values() if r and "timing" in r]
    right = [r for r in known if _CLOCK not in r["variations"]["applied"]]
    return min((record["timing"]["started"] for record in right), default=None)


def _issuer(crate: ROCrate, certificate: Mapping[str, Any]) -> Entity:
    """Who vouches for the run: the holder of a key, a person or an organization, or nobody."""
    keyid = certificate["report"]["issuer"]["keyid"]
    if keyid is None or certificate["signature"] == UNSIGNED:
        words = "Nobody signed the certificate; it is unknown who ran the workflow."
        return _add(crate, "#issuer", "Thing", name=UNSIGNED, description=words)
    words = "The holder of this key signed the certificate. Its name is its SHA-256 (public, DER)."
    return _add(crate, "#issuer", "Thing", name=f"key {keyid}", identifier=keyid, description=words)


# --- inputs and results -------------------------------------------------------------------------


def _inputs(crate: ROCrate, report: Mapping[str, Any]) -> Iterator[Entity]:
    """The data and the files outside of the folder, by digest."""
    load = report["records"]["load"]
    if load is not None:
        words = "The inputs that the program declares; the identifier is the SHA-256 of their list."
        if "inputs" not in load:
            words = (
                "The data that was trained on; its identifier is the SHA-256 of the list of its "
                f"arrays. From a {load['source']['kind']}: {load['source']['where']}."
            )
        named = {"name": load["dataset"], "identifier": load["digest"], "description": words}
        yield _add(crate, "#dataset", "CreativeWork", **named)
    for name, digest in sorted(known_digests(report).items()):
        if not name.startswith(_INSIDE) and name != SNAKEFILE:
            yield _add(crate, f"#{name}", "CreativeWork", name=name, sha256=digest)


def _evidence(crate: ROCrate, report: Mapping[str, Any], folder: Path) -> Iterator[Entity]:
    """The evidence in the folder; a run's files are parts of the run's folder."""
    folders: dict[str, Entity] = {}
    for name in _present(report):
        file = _file(crate, folder, folder / name, f"Evidence of the certificate: {name}")
        run = name.split("/")[1] if name.startswith("train/") else None
        if run is None:
            yield file
        elif run not in folders:
            folders[run] = _run(crate, report, run)
            yield folders[run]
        if run is not None:
            folders[run].append_to("hasPart", file)


def _run(crate: ROCrate, report: Mapping[str, Any], run: str) -> Entity:
    record = report["records"]["runs"].get(run)
    status = record["status"] if record else "without a valid record"
    description = f"The training run {run}: {status}."
    properties = {"name": f"training run {run}", "description": description}
    return crate.add_dataset(dest_path=f"train/{run}", properties=properties)


def _renderings(crate: ROCrate, folder: Path, path: Path, made: Sequence[Rendering]) -> Entity:
    """The certificate, with which the run ends, and the files that were made from it."""
    issued = _file(crate, folder, path, "The verdict, its conditions and its evidence.")
    for one in sorted(made, key=lambda one: one.path):
        file = _file(crate, folder, one.path, one.description)
        file["isBasedOn"] = {"@id": f"#{one.lock}"} if one.lock else issued
    return issued


def _file(crate: ROCrate, folder: Path, path: Path, description: str) -> Entity:
    name = path.resolve().relative_to(folder.resolve()).as_posix()
    form = next((form for end, form in _FORMATS.items() if name.endswith(end)), None)
    return crate.add_file(dest_path=name, properties=_properties(path, name, description, form))


def _properties(path: Path, name: str, description: str, form: str | None) -> dict[str, str]:
    found = {"name": name, "description": description, "sha256": files.digest(path)}
    found |= {"contentSize": str(path.stat().st_size)}
    return found | {"encodingFormat": form} if form else found


def _add(crate: ROCrate, entity: str, kind: str, /, **properties: Any) -> Entity:
    return crate.add(ContextEntity(crate, entity, {"@type": kind} | properties))


# --- evidence in the folder -----------------------------------------------------------------------


def _present(report: Mapping[str, Any]) -> list[str]:
    """The evidence that belongs in the results' folder."""
    known = known_digests({**report, "dependencies": []})
    return [name for name in known if name.startswith(_INSIDE)]


def require_unchanged(report: Mapping[str, Any], folder: Path, *named: Path) -> None:
    """Raise SamebitsError unless the folder holds the evidence that the report names.

    ``named``: locks and the Snakefile, which must be the report's too.
    """
    known, problems = known_digests(report), []
    found = [(name, folder / name) for name in _present(report)]
    found += [(p.name if p.name == SNAKEFILE else f"envs/{p.name}", p) for p in named]
    for name, path in found:
        got = files.digest(path) if path.is_file() else "no such file"
        if name not in known:
            problems.append(f"{path}: expected a file that the certificate names")
        elif got != known[name]:
            problems.append(f"{path}: expected sha256 {known[name]}, got {got}")
    if problems:
        hint = "these are not the files that were certified: certify them again, or restore them"
        raise SamebitsError(f"{all_problems(problems)}\n{hint}")
