"""A spot replay: a few epochs of a certified training, drawn at random, trained again each.

Every epoch begins from a state that the certificate commits to, and random numbers of its own, so
each can be repeated by itself. Who checks draws 32 random bytes when the certificate is there
already; the epochs follow from them: the first K when all are sorted by SHA-256 over the canonical
JSON ``{"certificate":C,"draw":D,"epoch":E}``, where C is the digest of the claim's payload, D the
draw, both in hexadecimal, and epochs count from 1. So an issuer cannot know which will be looked
at, and anyone can redo the choice. That a signer did not draw until it pleased, only the signer
knows, as with everything that is measured.

Its report is a pure function of the certificate's report and the run's record; verify derives it
again. It never says REPRODUCED: that is a word for the whole.
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from samebits.certificate import checks, replays
from samebits.certificate.checks import COMPLETED
from samebits.certificate.signatories import EPOCHS_REPRODUCED, NOT_REPRODUCED
from samebits.experiment.protocol import CONTROL
from samebits.formats import canonical, states
from samebits.replay import states as kept

FORMAT = "samebits-spot-replay-1"

Report = Mapping[str, Any]
Record = Mapping[str, Any]


def new_draw() -> str:
    """32 random bytes, in hexadecimal."""
    return secrets.token_hex(32)


def drawn(of: str, draw: str, epochs: int, count: int) -> list[int]:
    """The ``count`` of all ``epochs`` that a draw chooses, ascending, from 1."""

    def rank(epoch: int) -> str:
        return canonical.digest({"certificate": of, "draw": draw, "epoch": epoch})

    return sorted(sorted(range(1, epochs + 1), key=rank)[:count])


def before(report: Report, epoch: int) -> str | None:
    """The digest of the state that an epoch begins from; None: from the model as it is built."""
    return _digests(report)[epoch - 2] if epoch > 1 else None


# --- the report --------------------------------------------------------------------------------


def build(report: Report, of: str, record: Record, issue: replays.Issue) -> dict[str, Any]:
    """The spot replay as JSON. ``of``: the digest of the certificate's first statement."""
    epochs = list(_epochs(report, record))
    same = all(epoch["identical"] for epoch in epochs)
    return {
        "format": FORMAT,
        "of": of,
        "outcome": EPOCHS_REPRODUCED if same else NOT_REPRODUCED,
        "outside_scope": sorted(replays.outside(report, record["machine"], record)),
        "draw": record["spot"]["draw"],
        "in_all": len(_digests(report)),
        "epochs": epochs,
        "record": record,
        "issued": issue.issued,
        "issuer": {"keyid": issue.keyid},
        "source": {"commit": issue.source.commit, "dirty": issue.source.dirty},
    }


def rebuild(report: Report, of: str, said: Mapping[str, Any]) -> dict[str, Any]:
    """What a spot replay must say, given its record."""
    return build(report, of, said["record"], replays.issue_of(said))


def _epochs(report: Report, record: Record) -> Iterator[dict[str, Any]]:
    """Every epoch that was drawn; one that was not trained is not the same."""
    trained = {epoch["epoch"]: epoch for epoch in record["spot"]["epochs"]}
    for number in record["spot"]["drawn"]:
        got = trained.get(number)
        expected = _digests(report)[number - 1]
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


def _digests(report: Report) -> Sequence[str]:
    return states.of_record(report["records"]["runs"][CONTROL]) or ()


# --- whether the run says anything about the certificate ---------------------------------------


def problems(report: Report, of: str, record: Record) -> Iterator[str]:
    """Why a run is no spot replay of the certificate: it trained what was not drawn, say."""
    yield from replays.problems(report, record)
    said, in_all = record["spot"], len(_digests(report))
    wrong = kept.count_problem(report, len(said["drawn"]))
    if said["certificate"] != of:
        yield "its epochs were drawn for another certificate"
    trained = [epoch["epoch"] for epoch in said["epochs"]]
    if wrong is not None:
        yield wrong
    elif said["drawn"] != drawn(of, said["draw"], in_all, len(said["drawn"])):
        yield f"the draw does not choose the epochs {_listed(said['drawn'])} of this certificate"
    if trained != (said["drawn"] if record["status"] == COMPLETED else []):
        yield f"drawn were the epochs {_listed(said['drawn'])}, trained {_listed(trained)}"
    for epoch in said["epochs"]:
        if epoch["epoch"] <= in_all and epoch["from"] != before(report, epoch["epoch"]):
            yield f"epoch {epoch['epoch']} began from another state than the certificate's"


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers)) or "none"
