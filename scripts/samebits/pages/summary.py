"""The few lines that end a run in the terminal."""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from samebits.certificate import signatories
from samebits.certificate.signatories import UNSIGNED, Signatory
from samebits.experiment.protocol import CONTROL, REPLICA, PlannedComparison, runs
from samebits.pages import wording
from samebits.text import bold, plain

_COLOURS = {
    "REPRODUCIBLE": "green",
    "EQUAL WITHIN TOLERANCE": "cyan",
    "NOT REPRODUCIBLE": "red",
    "UNSUPPORTED": "magenta",
    signatories.REPRODUCED: "green",
    signatories.EPOCHS_REPRODUCED: "cyan",
    signatories.NOT_REPRODUCED: "red",
}
_OTHER = "yellow"
_MOST_REASONS = 8  # the rest is in the certificate
_MOST_COMBINATIONS = 20  # the rest is in the index
_FEW_RUNS = 2  # what every protocol costs needs no announcement


def text(
    certificate: dict[str, Any], path: Path, page: Path, seconds: float, colour: bool = False
) -> str:
    """Verdict, reasons, the histories' digests, who signed, where it is, how long it took."""
    report = certificate["report"]
    verdict = report["verdict"]
    lines = ["", f"{_shown(verdict, colour)}  {plain(report['experiment']['name'])}", ""]
    lines += [f"  {wording.statement(report)}"]
    lines += _survived(report["scope"])
    if verdict != "REPRODUCIBLE":
        lines += _reasons(report["reasons"])
    lines += ["", *_histories(report)]
    lines += _places(signatories.certified(certificate), path, page, seconds)
    return "\n".join(lines)


def replay(
    certificate: dict[str, Any], path: Path, page: Path, seconds: float, colour: bool = False
) -> str:
    """How the last replay came out: whose certificate it repeated, and what differs, and where."""
    report, issuer = certificate["report"], signatories.certified(certificate)
    found, last = certificate["replays"][-1]["report"], [*signatories.reproduced(certificate)][-1]
    lines = ["", f"{_shown(last.outcome, colour)}  {plain(report['experiment']['name'])}", ""]
    lines += [_row("checked", last.extent)] if last.extent else []
    lines += [
        _row("certified", f"{issuer.outcome} {issuer.by}, {issuer.when}"),
        _row("machine", last.machine or "not known"),
        *(_row("outside", f"the scope: {reason}") for reason in last.outside_scope),
    ]
    if found.get("divergence"):
        lines += [_row("parted", wording.where(found["divergence"]))]
    lines += ["", *_artefacts(found.get("artefacts", ())), *_epochs(found.get("epochs", ()))]
    lines += _places(last, path, page, seconds)
    return "\n".join(lines)


def sweep(table: Path, page: Path, seconds: float, colour: bool = False) -> str:
    """How each combination came out, or the first of many, and how many came out how."""
    with open(table, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    lines = [""]
    for row in rows[:_MOST_COMBINATIONS]:
        unsigned = f"  {UNSIGNED}" if row["signature"] == UNSIGNED else ""
        lines += [f"{_shown(row['verdict'], colour)}  {plain(row['combination'])}{unsigned}"]
    if len(rows) > _MOST_COMBINATIONS:
        lines += [f"and {len(rows) - _MOST_COMBINATIONS:,} more, in the index"]
    counts = Counter(row["verdict"] for row in rows)
    said = ", ".join(f"{count:,} {verdict}" for verdict, count in counts.most_common())
    lines += ["", _row("in all", said), _row("index", str(page)), _row("table", str(table))]
    return "\n".join([*lines, _row("took", _duration(seconds)), ""])


def _shown(outcome: str, colour: bool) -> str:
    return bold(outcome, _COLOURS.get(outcome, _OTHER), colour)


def _places(link: Signatory, path: Path, page: Path, seconds: float) -> Iterator[str]:
    """Who signed, where the certificate is, and how it is checked."""
    yield _row("signature", f"signed {link.by}" if link.keyid else UNSIGNED)
    yield _row("certificate", str(path))
    yield _row("page", str(page))
    yield _row("verify", wording.verify_command(str(path)))
    yield _row("took", _duration(seconds))
    yield ""


def _artefacts(artefacts: Iterable[dict[str, Any]]) -> Iterator[str]:
    for found in artefacts:
        yield from _compared(found["artefact"], found, found["identical"])


def _epochs(epochs: Iterable[dict[str, Any]]) -> Iterator[str]:
    for found in epochs:
        name = f"epoch {found['epoch']}"
        yield from _compared(name, found, found["got"] == found["expected"])
        if found["got"] is not None and not found["history"]:
            yield _row(name, "the history's values differ")


def _compared(name: str, found: dict[str, Any], identical: bool) -> Iterator[str]:
    if identical:
        yield _row(name, "identical")
    else:
        yield _row(name, f"expected {found['expected']}")
        yield _row("", f"got      {found['got'] or 'none'}")


def _row(what: str, value: str) -> str:
    return f"  {what:<12} {plain(value)}"


def _survived(scope: dict[str, Any]) -> Iterator[str]:
    """What was varied without changing the bits, and what could not be varied."""
    for outcome, said in (("same bits", "same under another"), ("not tried", "not tried")):
        names = dict.fromkeys(v["what"] for v in scope["variations"] if v["outcome"] == outcome)
        if names:
            yield f"  {said}: {plain(', '.join(names))}"
    if scope["conditions"]:
        yield f"  only with these pinned: {plain(', '.join(scope['conditions']))}"


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
        yield f"  - {plain(reason)}"
    if len(reasons) > _MOST_REASONS:
        yield f"  and {len(reasons) - _MOST_REASONS} more, in the certificate"


def _histories(report: dict[str, Any]) -> Iterator[str]:
    records = report["records"]["runs"]
    for name in (CONTROL, REPLICA):
        digest = records[name]["digests"].get("history") if records.get(name) else None
        yield f"  {'history of':<12} {name:<9} {digest or 'none'}"
    if len(records) > _FEW_RUNS:
        yield f"  {'other runs':<12} {len(records) - _FEW_RUNS}, in the certificate"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60} s"
