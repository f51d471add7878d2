"""The few lines that end a run in the terminal."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from samebits.protocol import CONTROL, REPLICA, PlannedComparison, runs

_COLOURS = {
    "REPRODUCIBLE": "32",
    "EQUAL WITHIN TOLERANCE": "36",
    "NOT REPRODUCIBLE": "31",
    "UNSUPPORTED": "35",
}
_OTHER = "33"
_MOST_REASONS = 8  # the rest is in the certificate
_FEW_RUNS = 2  # what every protocol costs needs no announcement


def text(
    certificate: dict[str, Any], path: Path, page: Path, seconds: float, colour: bool = False
) -> str:
    """Verdict, reasons, the histories' digests, where the certificate is, how long it took."""
    verdict = certificate["verdict"]
    shown = f"\033[1;{_COLOURS.get(verdict, _OTHER)}m{verdict}\033[0m" if colour else verdict
    lines = ["", f"{shown}  {certificate['experiment']['name']}", ""]
    lines += [f"  {certificate['scope']['statement']}"]
    lines += _survived(certificate["scope"])
    if verdict != "REPRODUCIBLE":
        lines += _reasons(certificate["reasons"])
    lines += ["", *_histories(certificate)]
    lines += [f"  {what:<12} {value}" for what, value in (("certificate", path), ("page", page))]
    lines += [f"  {'took':<12} {_duration(seconds)}", ""]
    return "\n".join(lines)


def _survived(scope: dict[str, Any]) -> Iterator[str]:
    """What was varied without changing the bits, and what could not be varied."""
    for outcome, said in (("same bits", "same under another"), ("not tried", "not tried")):
        names = dict.fromkeys(v["what"] for v in scope["variations"] if v["outcome"] == outcome)
        if names:
            yield f"  {said}: {_plain(', '.join(names))}"
    if scope["conditions"]:
        yield f"  only with these pinned: {_plain(', '.join(scope['conditions']))}"


def cost(comparisons: list[PlannedComparison], cores: int) -> str:
    """What a protocol with more than two runs will train, before it starts; empty for others."""
    wanted = list(runs(comparisons))
    whole = [run for run in wanted if run.samples is None]
    if len(whole) <= _FEW_RUNS:
        return ""
    emulated = [run for run in wanted if run.variations == ("cpu",)]
    lines = [
        f"{len(whole)} whole trainings on {cores} cores instead of {_FEW_RUNS}: "
        f"{sum(bool(run.lift) for run in whole)} lift a pin, "
        f"{sum(len(run.vary) == 1 for run in whole)} vary one thing"
    ]
    if emulated:
        part = f"{emulated[0].samples} samples, {emulated[0].epochs} epochs"
        lines.append(f"{len(emulated)} emulated ones of {part}, each some ten times slower")
    return "\n".join(lines)


def _reasons(reasons: list[str]) -> Iterator[str]:
    for reason in reasons[:_MOST_REASONS]:
        yield f"  - {_plain(reason)}"
    if len(reasons) > _MOST_REASONS:
        yield f"  and {len(reasons) - _MOST_REASONS} more, in the certificate"


def _histories(certificate: dict[str, Any]) -> Iterator[str]:
    records = certificate["records"]["runs"]
    for name in (CONTROL, REPLICA):
        digest = records[name]["digests"].get("history") if records.get(name) else None
        yield f"  {'history of':<12} {name:<9} {digest or 'none'}"
    if len(records) > _FEW_RUNS:
        yield f"  {'other runs':<12} {len(records) - _FEW_RUNS}, in the certificate"


def _plain(reason: str) -> str:
    """A reason may quote a file: nothing in it may steer the terminal."""
    return "".join(c if c.isprintable() else " " for c in reason)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60} s"
