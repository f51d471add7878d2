"""A replay: one more training of a certified experiment, held against the certificate's digests.

Its report is a pure function of the certificate's report and the new run's record, but for the
first divergence, which needs the certified arrays. verify derives it again.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from samebits.certificate import checks
from samebits.certificate.checks import ARTEFACTS, COMPLETED
from samebits.certificate.report import Source
from samebits.certificate.signatories import NOT_REPRODUCED, REPRODUCED
from samebits.experiment.protocol import CONTROL
from samebits.formats import canonical, lockfile, seal

FORMAT = "samebits-replay-1"
# What a CPU must offer for oneDNN's caps (oneDNN, "CPU Dispatcher Control"), as Linux names it.
_NEEDED = {"SSE41": ("sse4_1",), "AVX": ("avx",), "AVX2": ("avx2", "fma")}
_NEEDED["AVX512_CORE"] = ("avx512f", "avx512bw", "avx512vl", "avx512dq")

Report = Mapping[str, Any]
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Issue:
    """What the one who repeats says beside the record."""

    issued: str
    source: Source
    keyid: str | None  # None: UNSIGNED


def build(report: Report, of: str, record: Record, divergence: Any, issue: Issue) -> dict[str, Any]:
    """The replay as JSON. ``of``: the digest of the certificate's first statement."""
    artefacts = list(_artefacts(report, record))
    same = all(artefact["identical"] for artefact in artefacts)
    return {
        "format": FORMAT,
        "of": of,
        "outcome": REPRODUCED if same else NOT_REPRODUCED,
        "outside_scope": sorted(outside(report, record["machine"], record)),
        "artefacts": artefacts,
        "divergence": None if same else divergence,
        "record": record,
        "issued": issue.issued,
        "issuer": {"keyid": issue.keyid},
        "source": {"commit": issue.source.commit, "dirty": issue.source.dirty},
    }


def rebuild(report: Report, of: str, replay: Mapping[str, Any]) -> dict[str, Any]:
    """What a replay must say, given its record."""
    return build(report, of, replay["record"], replay["divergence"], issue_of(replay))


def issue_of(replay: Mapping[str, Any]) -> Issue:
    """What the one who repeated said beside the record."""
    source = Source(replay["source"]["commit"], replay["source"]["dirty"])
    return Issue(replay["issued"], source, replay["issuer"]["keyid"])


def _artefacts(report: Report, record: Record) -> Iterator[dict[str, Any]]:
    control = report["records"]["runs"][CONTROL]
    for artefact in ARTEFACTS:
        expected, got = control["digests"][artefact], record["digests"].get(artefact)
        yield {
            "artefact": artefact,
            "expected": expected,
            "got": got,
            "identical": expected == got and record["status"] == COMPLETED,
        }


# --- whether the run says anything about the certificate ---------------------------------------


def unfit(report: Report) -> Iterator[str]:
    """Why a certificate cannot be replayed, in words."""
    control = report["records"]["runs"].get(CONTROL)
    if control is None or control["status"] != COMPLETED:
        yield "its control run did not complete, so there is nothing to compare with"


def problems(report: Report, record: Record) -> Iterator[str]:
    """Why a run shows nothing about a certificate: it is one of another experiment, say."""
    control = report["records"]["runs"][CONTROL]
    if broken := seal.problem(record):
        yield f"the run's record is not as it was written: {broken}"
    if record["experiment"] != report["experiment"]["digest"]:
        yield "the run is one of another experiment"
    if canonical.digest(record["config"]) != record["experiment"]:
        yield "the run's config is not that of its experiment"
    if record["dataset"] != control["dataset"]:
        yield "the run was trained on other data"
    if record["lock"] != control["lock"]:
        yield "the run was installed from another lock"
    if record["process"]["id"] == control["process"]["id"]:
        yield "the run is the certified one itself, not another"
    if record["lifted"] or record["subset"] or record["variations"]["applied"]:
        yield "the run lifted a pin, trained on a part of the data or was varied"
    if record["status"] == checks.NOT_TRIED:
        yield "the run was not trained"
        return
    if not checks.same(record["source"], control["source"]):
        yield "the run and the certified one ran on different source code"
    yield from checks.ambiguous(record)
    yield from _settings(record)
    yield from _packages(report, record)


def _settings(record: Record) -> Iterator[str]:
    probed = {s["name"]: s for s in record["settings"]}
    for name, value in checks.pins(record["config"]):
        setting = probed.get(name)
        if setting is None:
            yield f"pinned, but not probed: {name}"
        elif not checks.same([setting["expected"], setting["effective"]], [value, value]):
            yield f"{name} is {setting['effective']}, pinned is {value}"


def _packages(report: Report, record: Record) -> Iterator[str]:
    lock = lockfile.parse(report["lock"]["text"], report["lock"]["name"])
    found = {lockfile.normal(p["name"]): p["version"] for p in record["packages"]}
    yield from lockfile.mismatches(lock, found)


# --- whether the machine is one that the certificate speaks of ---------------------------------


def outside(
    report: Report, machine: Mapping[str, Any], record: Record | None = None
) -> Iterator[str]:
    """Why a machine is outside of what was shown. ``record``: of the run, once there is one."""
    control = report["records"]["runs"][CONTROL]
    yield from _instructions(report, machine)
    if record is None or record["status"] == checks.NOT_TRIED:
        return
    for what, there, here in (
        ("GPU", control["machine"].get("gpu"), machine.get("gpu")),
        ("build of TensorFlow", control["framework"], record["framework"]),
        ("build of Python", control["python"], record["python"]),
    ):
        if not checks.same(there, here):
            yield f"another {what} than the certificate's: {_said(here)} instead of {_said(there)}"


def _instructions(report: Report, machine: Mapping[str, Any]) -> Iterator[str]:
    there, flags = report["records"]["runs"][CONTROL]["machine"], set(machine.get("flags") or ())
    cap = report["experiment"]["config"]["determinism"]["isa"]
    for flag in _NEEDED.get(cap, ()):
        if flag not in flags:
            yield f"the certificate pins {cap}, and this CPU has no {flag}"
    if cap is None and flags != set(there.get("flags") or ()):
        yield (
            f"no instruction set is pinned, and this CPU ({machine.get('cpu')}) has others than "
            f"the certificate's ({there.get('cpu')})"
        )


def _said(part: Any) -> str:
    return canonical.dumps(part).decode("utf-8").strip() if part else "none"
