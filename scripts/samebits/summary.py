"""The few lines that end a run in the terminal."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

_COLOURS = {"REPRODUCIBLE": "32", "NOT REPRODUCIBLE": "31", "UNSUPPORTED": "35"}
_OTHER = "33"
_MOST_REASONS = 8  # the rest is in the certificate


def text(
    certificate: dict[str, Any], path: Path, page: Path, seconds: float, colour: bool = False
) -> str:
    """Verdict, reasons, the histories' digests, where the certificate is, how long it took."""
    verdict = certificate["verdict"]
    shown = f"\033[1;{_COLOURS.get(verdict, _OTHER)}m{verdict}\033[0m" if colour else verdict
    lines = ["", f"{shown}  {certificate['experiment']['name']}", ""]
    lines += [f"  {certificate['scope']['statement']}"]
    if verdict != "REPRODUCIBLE":
        lines += _reasons(certificate["reasons"])
    lines += ["", *_histories(certificate)]
    lines += [f"  {what:<12} {value}" for what, value in (("certificate", path), ("page", page))]
    lines += [f"  {'took':<12} {_duration(seconds)}", ""]
    return "\n".join(lines)


def _reasons(reasons: list[str]) -> Iterator[str]:
    for reason in reasons[:_MOST_REASONS]:
        yield f"  - {_plain(reason)}"
    if len(reasons) > _MOST_REASONS:
        yield f"  and {len(reasons) - _MOST_REASONS} more, in the certificate"


def _histories(certificate: dict[str, Any]) -> Iterator[str]:
    for name, record in certificate["records"]["runs"].items():
        digest = record["digests"].get("history") if record else None
        yield f"  {'history of':<12} {name:<9} {digest or 'none'}"


def _plain(reason: str) -> str:
    """A reason may quote a file: nothing in it may steer the terminal."""
    return "".join(c if c.isprintable() else " " for c in reason)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60} s"
