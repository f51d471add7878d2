"""What the page says of who signed a certificate, and of who repeated it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from samebits.certificate import signatories
from samebits.certificate.signatories import Certificate, Link
from samebits.pages import runs, wording

FILE = "certificate.json"  # as the commands on the page call it
_MOST_LINKS = 5  # replays on the first screen: the latest; all are further down
_MOST_DRAWN = 3  # replays of which the divergence is drawn


def content(certificate: Certificate) -> dict[str, Any]:
    """What the template needs."""
    issuer, links = signatories.certified(certificate), list(signatories.reproduced(certificate))
    return {
        "unsigned": issuer.keyid is None,
        "issuer": issuer,
        "links": links[-_MOST_LINKS:],
        "earlier": _counted(links[:-_MOST_LINKS]),
        "replays": list(_replays(certificate["replays"], links)),
        "keys": list(signatories.keys(certificate)),
        "short": signatories.short,
        "verify": wording.verify_command(FILE),
        "verify_raw": f"python scripts/verify.py {FILE}",
        "repeat": wording.replay_command(FILE),
    }


def _counted(links: Sequence[Link]) -> str:
    """The replays for which the first screen has no room, in numbers."""
    outcomes = Counter(link.outcome for link in links)
    return ", ".join(f"{number} {outcome}" for outcome, number in sorted(outcomes.items()))


def _replays(replays: Sequence[Mapping[str, Any]], links: Sequence[Link]) -> Iterator[Any]:
    drawn = 0
    for number, (replay, link) in enumerate(zip(replays, links, strict=True), start=1):
        report = replay["report"]
        found: dict[str, Any] = {"number": number, "link": link, "source": report["source"]}
        found["artefacts"] = [
            artefact | {"title": wording.TITLES[artefact["artefact"]]}
            for artefact in report.get("artefacts", ())
        ]
        found |= {key: report.get(key, ()) for key in ("epochs", "in_all", "draw")}
        found["parting"] = _parting(number, report.get("divergence"), drawn < _MOST_DRAWN)
        drawn += found["parting"] is not None
        yield found


def _parting(number: int, divergence: Mapping[str, Any] | None, draw: bool) -> Any:
    """Where a replay parts from what was certified, as the template draws any other run."""
    if divergence is None:
        return None
    run = {"run": f"replay {number}", "control": "the certified run"}
    pictures = runs.pictures(divergence) if draw else {}
    return {"run": run} | runs.told(divergence) | pictures
