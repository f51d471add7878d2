"""Who stands behind a certificate: who issued it, and who repeated the training since, in order.

Read from the certificate, for the page, the terminal and verify alike. Whether a signature is valid
is for verify to check, and whose key it is for the reader to know.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samebits.certificate.types import Certificate, Replay
from samebits.errors import SamebitsError
from samebits.experiment.protocol import CONTROL
from samebits.formats import canonical
from samebits.formats.names import CERTIFICATE_FORMAT, COMPLETED, UNSIGNED
from samebits.text import few

REPRODUCED, NOT_REPRODUCED = "REPRODUCED", "NOT REPRODUCED"
EPOCHS_REPRODUCED = "EPOCHS REPRODUCED"  # some of them, never all: no REPRODUCED
_READABLE = 16  # hexadecimal digits of a fingerprint that a person compares at a glance


@dataclass(frozen=True)
class Signatory:
    """One who trained, and signed what came out or left it unsigned."""

    keyid: str | None  # None: nobody signed
    issued: str  # the moment: UTC, to the second
    machine: str  # CPU model and operating system; empty when not known
    outcome: str  # the verdict, or whether it came out the same again
    outside_scope: tuple[str, ...] = ()  # why this machine is outside the scope
    same_key: bool = False  # as the certificate's own: not somebody else
    extent: str = ""  # how much was repeated, in words, where it was not all
    holder: str | None = None  # what the user calls the key; None: not one that the user trusts

    @property
    def when(self) -> str:
        """The moment as a person reads it, to the minute."""
        return f"{self.issued[:10]} {self.issued[11:16]} UTC"

    @property
    def result(self) -> str:
        """The outcome, with its extent: sampled epochs are never shown as a whole."""
        return f"{self.outcome} ({self.extent})" if self.extent else self.outcome

    @property
    def by(self) -> str:
        """Who, in few words."""
        return f"by key {short(self.keyid)}" if self.keyid else UNSIGNED


def read(path: Path) -> Certificate:
    """The certificate in a file, for those who show it: it is not verified.

    Raises SamebitsError for other content, and OSError.
    """
    content = canonical.read_json(path)
    got = content.get("format") if isinstance(content, dict) else None
    if got != CERTIFICATE_FORMAT:
        raise SamebitsError(f"{path}: expected format {CERTIFICATE_FORMAT}, got {got}")
    certificate: Certificate = content
    return certificate


def short(keyid: str) -> str:
    """A fingerprint's beginning, for reading; only all of it tells keys apart for certain."""
    return f"{keyid[:_READABLE]}…"


def certified(certificate: Certificate) -> Signatory:
    """The issuer of the certificate."""
    report = certificate["report"]
    facts = {fact["what"]: fact["value"] for fact in report["scope"]["same"]}
    return Signatory(
        keyid=report["issuer"]["keyid"],
        issued=report["issued"],
        machine=_machine(facts.get("CPU model"), facts.get("operating system")),
        outcome=report["verdict"],
    )


def reproduced(certificate: Certificate) -> Iterator[Signatory]:
    """Each who repeated it, whether or not the same came out."""
    issuer = certificate["report"]["issuer"]["keyid"]
    for replay in (replay["report"] for replay in certificate["replays"]):
        keyid, machine = replay["issuer"]["keyid"], replay["record"].get("machine") or {}
        yield Signatory(
            keyid=keyid,
            issued=replay["issued"],
            machine=_machine(machine.get("cpu"), machine.get("os")),
            outcome=replay["outcome"],
            outside_scope=tuple(replay["outside_scope"]),
            same_key=keyid is not None and keyid == issuer,
            extent=extent(replay),
        )


def listed(certificate: Certificate) -> Iterator[Signatory]:
    """The issuer, then each who repeated it."""
    yield certified(certificate)
    yield from reproduced(certificate)


def unfit(report: Mapping[str, Any]) -> Iterator[str]:
    """Why a certificate cannot be replayed, in words."""
    control = report["records"]["runs"].get(CONTROL)
    if control is None or control["status"] != COMPLETED:
        yield "its control run did not complete, so there is nothing to compare with"


def extent(replay: Replay) -> str:
    """How much a replay is about, such as "2 of 12 epochs: 3 and 7"; empty: all there is.

    Every epoch that came out otherwise is named.
    """
    if "epochs" not in replay:
        return ""
    numbers = [str(epoch["epoch"]) for epoch in replay["epochs"]]
    different = [str(epoch["epoch"]) for epoch in replay["epochs"] if not epoch["identical"]]
    whole = f"{len(numbers)} of {replay['in_all']} epochs: {few(numbers)}"
    return f"{whole}; not the same: {', '.join(different)}" if different else whole


def _machine(*parts: Any) -> str:
    return ", ".join(str(part) for part in parts if part)
