"""A replay: a certified experiment trained again, whole or in sampled epochs, and compared.

INPUTS      the certificate's report and the new run's record; of a whole training that differs,
            the first divergence, which needs the certified files
OUTPUTS     the replay's report
GUARANTEES  a pure function, so that verify derives it again; sampled epochs are never called
            REPRODUCED, which is a word for the whole

Sampled epochs: each begins from a state that the certificate commits to, with random numbers of
its own, so it can be repeated by itself. Once the certificate exists, the checker draws 32 random
bytes, and the epochs follow from them: the first K when all are sorted by SHA-256 over the
canonical JSON ``{"certificate":C,"draw":D,"epoch":E}``, where C is the digest of the claim's
payload, D the draw, both in hexadecimal, and epochs count from 1. So an issuer cannot know which
epochs will be checked, and anyone can redo the choice. Only the signer of a replay knows that it
did not draw until the choice suited it, as with everything that is measured.
"""

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, TypedDict, cast

from samebits.certificate import checks, comparison_checks, facts, interruptions
from samebits.certificate.evidence import Document, Evidence, RunEvidence, from_report
from samebits.certificate.report import source
from samebits.certificate.signatories import EPOCHS_REPRODUCED, NOT_REPRODUCED, REPRODUCED
from samebits.certificate.types import Issuer, Replay, Report, RunRecord
from samebits.experiment.protocol import CONTROL, PlannedRun
from samebits.formats import canonical, names, states
from samebits.formats.names import ARTIFACTS, COMPLETED, NOT_TRIED
from samebits.text import listed

_REPLAY = "the replay"
FORMAT, SAMPLED_FORMAT = "samebits-replay-1", "samebits-sampled-replay-1"
# What a CPU must offer for oneDNN's caps (oneDNN, "CPU Dispatcher Control"), as Linux names it.
_NEEDED = {"SSE41": ("sse4_1",), "AVX": ("avx",), "AVX2": ("avx2", "fma")}
_NEEDED["AVX512_CORE"] = ("avx512f", "avx512bw", "avx512vl", "avx512dq")


class Issue(TypedDict):
    """What the one who repeats says beside the record."""

    issued: str
    issuer: Issuer


def build(report: Report, of: str, record: RunRecord, divergence: Any, issue: Issue) -> Replay:
    """The replay as JSON. ``of``: the digest of the certificate's first statement."""
    sampled = is_sampled(record)
    compared = _sampled(report, record) if sampled else _whole(report, record, divergence)
    made = {
        **compared,
        "of": of,
        "outside_scope": sorted(outside(report, record["machine"], record)),
        "record": record,
        "issued": issue["issued"],
        "issuer": issue["issuer"],
        "source": source(record),
    }
    return cast(Replay, made)


def is_sampled(record: RunRecord) -> bool:
    """Whether a run trained sampled epochs alone."""
    return bool(record["format"] == names.SAMPLED_FORMAT)


def rebuild(report: Report, of: str, replay: Replay) -> Replay:
    """What a replay must say, given its record."""
    return build(report, of, replay["record"], replay.get("divergence"), replay)


def _control(report: Report) -> RunRecord:
    control = report["records"]["runs"][CONTROL]
    if control is None:
        raise LookupError(CONTROL)
    return control


def _whole(report: Report, record: RunRecord, divergence: Any) -> dict[str, Any]:
    control, artifacts = _control(report), list[dict[str, Any]]()
    for artifact in ARTIFACTS:
        expected, got = control["digests"][artifact], record["digests"].get(artifact)
        ordered = control["tensors"].get(artifact) == record["tensors"].get(artifact)
        same = expected == got and ordered and record["status"] == COMPLETED
        found = {"artifact": artifact, "expected": expected, "got": got, "identical": same}
        artifacts.append(found)
    same = all(artifact["identical"] for artifact in artifacts)
    return {
        "format": FORMAT,
        "outcome": REPRODUCED if same else NOT_REPRODUCED,
        "artifacts": artifacts,
        "divergence": None if same else divergence,
    }


# --- sampled epochs --------------------------------------------------------------------------


def new_draw() -> str:
    """32 random bytes, in hexadecimal."""
    return secrets.token_hex(32)


def drawn(of: str, draw: str, epochs: int, count: int) -> list[int]:
    """The ``count`` of all ``epochs`` that a draw chooses, ascending, from 1."""

    def rank(epoch: int) -> str:
        return canonical.digest({"certificate": of, "draw": draw, "epoch": epoch})

    return sorted(sorted(range(1, epochs + 1), key=rank)[:count])


def before(report: Report, epoch: int) -> states.State | None:
    """The digests of the state that an epoch begins from; None: from the model as it is built."""
    return states.of_control(report)[epoch - 2] if epoch > 1 else None


def _sampled(report: Report, record: RunRecord) -> dict[str, Any]:
    epochs = list(_epochs(report, record))
    same = all(epoch["identical"] for epoch in epochs)
    return {
        "format": SAMPLED_FORMAT,
        "outcome": EPOCHS_REPRODUCED if same else NOT_REPRODUCED,
        "draw": record["sampled"]["draw"],
        "in_all": len(states.of_control(report)),
        "epochs": epochs,
    }


def _epochs(report: Report, record: RunRecord) -> Iterator[dict[str, Any]]:
    """Every epoch that was drawn; one that was not trained is not the same."""
    trained = {epoch["epoch"]: epoch for epoch in record["sampled"]["epochs"]}
    for number in record["sampled"]["drawn"]:
        got = trained.get(number)
        expected = states.of_control(report)[number - 1]
        history = got is not None and checks.same(got["history"], _history(report, number))
        yield {
            "epoch": number,
            "from": before(report, number),
            "expected": expected,
            "got": got["to"] if got is not None else None,
            "history": history,
            "identical": history and got is not None and got["to"] == expected,
        }


def _history(report: Report, epoch: int) -> dict[str, Any]:
    """The certified values of one epoch, in the form of a history."""
    certified = report["histories"][CONTROL]
    metrics = {name: [values[epoch - 1]] for name, values in certified["metrics"].items()}
    return {**certified, "metrics": metrics}


def count_problem(report: Mapping[str, Any], count: int) -> str | None:
    """Why not so many of a certificate's epochs can be trained alone; None: they can."""
    commitment, digests = states.commitment(report), states.of_control(report)
    if commitment is None:
        return (
            "epochs: the certificate commits to no checkpoints (trainer.checkpoint=epoch), so only "
            "all of it can be replayed; leave epochs out"
        )
    epochs = checks.trained_epochs(report["records"]["runs"][CONTROL])
    if (states.root(digests), len(digests)) != (commitment["root"], epochs):
        return (
            "epochs: the certificate's checkpoints are not one per epoch, or not those of its root"
        )
    if (lacking := interruptions.sampling_problem(report["records"]["runs"])) is not None:
        return f"epochs: no epoch can be replayed alone: {lacking}; leave epochs out"
    if 1 <= count < len(digests):
        return None
    return (
        f"epochs: expected a number from 1 to less than {len(digests)}, which is all of it, "
        f"got {count}; leave epochs out to replay all"
    )


# --- whether the run says anything about the certificate ---------------------------------------


def certified(report: Report) -> Evidence:
    """What all runs of a certificate have in common, and no more of it: a replay is checked by it.

    Whether it is sound is checked once, of the certificate itself.
    """
    found = from_report(report)
    load, content = found.load, found.load.content
    if content is not None:
        load = replace(load, content=canonical.with_digest({"digest": content["digest"]}))
    return replace(found, load=load, runs=(), comparisons=())


def problems(common: Evidence, report: Report, of: str, record: RunRecord) -> Iterator[str]:
    """Why a run shows nothing about a certificate: it is one of another experiment, say.

    What is checked of a certified run is checked of the replay. ``common``: see ``certified``.
    """
    replay = RunEvidence(_REPLAY, Document(f"the record of {_REPLAY}", content=record), {})
    compared = replace(common, runs=(replay,))
    yield from checks.problems(compared, (*checks.OF_RECORDS, *facts.OF_RECORDS))
    yield from comparison_checks.as_planned(_REPLAY, record, PlannedRun(_REPLAY))
    if record["process"]["id"] == _control(report)["process"]["id"]:
        yield f"{_REPLAY} is the certified run itself"
    if checks.modules(record) != checks.modules(_control(report)):
        yield f"{_REPLAY} and the certified run used different source code"
    yield from _other_files(record, _control(report))
    if is_sampled(record):
        yield from _undrawn(report, of, record)


def _other_files(record: RunRecord, certified: RunRecord) -> Iterator[str]:
    """Files that both read, with other content."""
    known = {entry["path"]: entry["sha256"] for entry in certified["files"]["read"]}
    for path, sha256 in ((entry["path"], entry["sha256"]) for entry in record["files"]["read"]):
        if known.get(path, sha256) != sha256:
            yield f"{_REPLAY} read another file {path}: SHA-256 {sha256}, not {known[path]}"


def _undrawn(report: Report, of: str, record: RunRecord) -> Iterator[str]:
    """Why the epochs of a run are not those that its draw chooses of this certificate."""
    sampled, in_all = record["sampled"], len(states.of_control(report))
    chosen, trained = sampled["drawn"], [epoch["epoch"] for epoch in sampled["epochs"]]
    wrong = count_problem(report, len(chosen))
    if sampled["certificate"] != of:
        yield "its epochs were drawn for another certificate"
    if wrong is not None:
        yield wrong
    elif chosen != drawn(of, sampled["draw"], in_all, len(chosen)):
        yield f"the draw does not choose the epochs {listed(chosen)} of this certificate"
    if trained != (chosen if record["status"] == COMPLETED else []):
        yield f"it drew the epochs {listed(chosen)} and trained {listed(trained) or 'none'}"
    for epoch in sampled["epochs"]:
        if epoch["epoch"] <= in_all and epoch["from"] != before(report, epoch["epoch"]):
            yield f"epoch {epoch['epoch']} began from another state than the certificate's"


# --- whether the machine is one that the certificate speaks of ---------------------------------


def outside(
    report: Report, machine: Mapping[str, Any], record: RunRecord | None = None
) -> Iterator[str]:
    """Why a machine is outside the scope. ``record``: of the replay, once it was trained."""
    control = _control(report)
    yield from _instructions(report, machine)
    if record is None or record["status"] == NOT_TRIED:
        return
    for what, there, here in (
        ("GPU", control["machine"].get("gpu"), machine.get("gpu")),
        ("build of TensorFlow", control["framework"], record["framework"]),
        ("build of Python", control["python"], record["python"]),
    ):
        if not checks.same(there, here):
            pair = f"{checks.in_words(here)}, not {checks.in_words(there)}"
            yield f"another {what} than the certificate's: {pair}"


def _instructions(report: Report, machine: Mapping[str, Any]) -> Iterator[str]:
    there, flags = _control(report)["machine"], set(machine.get("flags") or ())
    cap = _control(report)["config"]["determinism"]["isa"]
    for flag in _NEEDED.get(cap, ()):
        if flag not in flags:
            yield f"the certificate pins {cap}, and this CPU has no {flag}"
    if cap is None and flags != set(there.get("flags") or ()):
        yield (
            f"no instruction set is pinned, and this CPU ({machine.get('cpu')}) has other "
            f"instructions than the certificate's ({there.get('cpu')})"
        )
