"""The lines that end a run in the terminal."""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any

from samebits.certificate import signatories
from samebits.certificate.signatories import Signatory
from samebits.experiment.protocol import (
    ALIKE,
    CONTROL,
    FIRST,
    REPEAT,
    REPLICA,
    SECOND,
    Found,
    PlannedComparison,
    plan,
    runs,
)
from samebits.experiment.variations import TITLES
from samebits.formats import names
from samebits.pages import difference, remedies, wording
from samebits.pages import program as programs
from samebits.text import bold, duration, few, listed, plain, program

_REPLAY_COLORS = {
    signatories.REPRODUCED: "green",
    signatories.EPOCHS_REPRODUCED: "cyan",
    signatories.NOT_REPRODUCED: "red",
}
_MOST_REASONS = 8  # the rest is in the certificate
_MOST_COMBINATIONS = 20  # the rest is in the index
_MOST_NOT_VARIED = 5  # the rest is in the certificate
_VALUES_PER_EPOCH = 4  # of each run: what its steps received, and a loss
_MOST_FAILURES = 4  # beside the first
# Files of a command: those that each certificate has, and others by what they are.
_WITH_CERTIFICATE = {"certificate.json", "certificate.html", "badge.svg"}
_FILES = {
    "certificate.zip": "bundle",
    "ro-crate-metadata.json": "RO-Crate",
    "report.html": "report",
    "claims.html": "page",
    "atlas.html": "page",
}
_USUAL_RUNS = 2  # of every protocol: no need to announce their cost


@dataclass(frozen=True)
class Ended:
    """A command that did what it was asked to, and how its result is shown."""

    path: Path  # of the result: its page, where it has one, has the same name and ends in .html
    seconds: float | None = None  # None where nothing was to be done
    color: bool = False
    made: Sequence[Path] = ()  # files beside certificate and page


def text(certificate: Any, ended: Ended) -> str:
    """Verdict, reasons, digests of the histories, signature, paths and duration."""
    report = certificate["report"]
    lines = [f"  ! {plain(caution)}" for caution in report["scope"]["cautions"]]
    lines += [f"  {wording.statement(report)}", *_scope(report)]
    if report["verdict"] != names.REPRODUCIBLE:
        lines += _reasons(report["reasons"])
    lines += [f"  remedy ({culprit}): {what}" for culprit, what in remedies.remedies(report)]
    lines += ["", *_histories(report), *_source(report)]
    issuer = signatories.certified(certificate)
    return _joined(issuer, report, ended, lines)


def replay(certificate: Any, ended: Ended) -> str:
    """The outcome of the last replay: of whose certificate, what differs, and where."""
    report, issuer = certificate["report"], signatories.certified(certificate)
    found, last = certificate["replays"][-1]["report"], [*signatories.reproduced(certificate)][-1]
    lines = [_row("checked", last.extent)] if last.extent else []
    lines += [
        _row("certified", f"{issuer.outcome} {issuer.by}, {issuer.when}"),
        _row("machine", last.machine or "unknown"),
        *(_row("scope", f"outside: {reason}") for reason in last.outside_scope),
    ]
    if found.get("divergence"):
        lines += [_row("divergence", wording.where(found["divergence"]))]
    lines += ["", *_artifacts(found.get("artifacts", ())), *_epochs(found.get("epochs", ()))]
    return _joined(last, report, ended, lines)


def _joined(link: Signatory, report: Any, ended: Ended, lines: Iterable[str]) -> str:
    shown = map(plain, [*lines, *_places(link, ended)])
    return "\n".join([*_title(link, report, ended.color), *shown])


def against(found: Any, ended: Ended) -> str:
    """Whether the present code gives the bits of a certificate, and what differs."""
    lines = ["", difference.text(found, ended.color), _row("result", str(ended.path))]
    if not found["same"]:
        lines += [_row("next", f"undo it, or make a new golden bundle: {program()} bundle")]
    return "\n".join([*lines, _took(ended), ""])


def sweep(ended: Ended) -> str:
    """The verdict of each combination, or of the first of many, and a count of verdicts."""
    with open(ended.path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    lines = [""]
    for row in rows[:_MOST_COMBINATIONS]:
        unsigned = f"  {names.UNSIGNED}" if row["signature"] == names.UNSIGNED else ""
        lines += [f"{_shown(row['verdict'], ended.color)}  {plain(row['combination'])}{unsigned}"]
    if len(rows) > _MOST_COMBINATIONS:
        lines += [f"and {len(rows) - _MOST_COMBINATIONS:,} more, in the index"]
    counts = Counter(row["verdict"] for row in rows)
    said = ", ".join(f"{count:,} {verdict}" for verdict, count in counts.most_common())
    page = ended.path.with_suffix(".html")
    lines += ["", _row("total", said), _row("index", str(page)), _row("table", str(ended.path))]
    return "\n".join([*lines, _took(ended), ""])


@dataclass(frozen=True)
class Failure:
    """A job that failed, why, the lines of its log that say more, and the log."""

    job: str  # empty: no job
    cause: str
    said: Sequence[str] = ()
    log: str = ""


@dataclass(frozen=True)
class Interruption:
    """What ended a start early, the jobs that it ended, and their logs."""

    by: str
    jobs: Sequence[str]
    logs: Sequence[str]
    starts_over: bool  # a training does, since it keeps no checkpoints


def failed(
    name: str, failures: Sequence[Failure], certified: str, again: str, color: bool = False
) -> str:
    """The cause of the first failure, which of the others have it too, and what to do next.

    ``certified``: how much of a sweep is.
    """
    first, *others = failures
    lines = [*_rows("job", first.job), *_rows("cause", first.cause)]
    for other in others[:_MOST_FAILURES]:
        same, (why, *_) = other.cause == first.cause, other.cause.splitlines()
        reason = ", for the same reason" if same else f": {why}"
        lines += _rows("failed too", other.job + reason)
    if len(others) > _MOST_FAILURES:
        lines += _rows("failed too", f"{len(others) - _MOST_FAILURES:,} more")
    lines += [f"    {plain(line)}" for line in first.said]
    lines += [*_rows("log", first.log), *_rows("certified", certified), *_next(again)]
    title = f"{bold('FAILED', 'red', color)}  {plain(name)}".rstrip()
    return "\n".join(["", title, "", *lines, ""])


def interrupted(name: str, found: Interruption, again: str, color: bool = False) -> str:
    """What was interrupted, and what is lost of it."""
    over = "; a training begins anew (checkpoint=epoch keeps each epoch)" * found.starts_over
    during = f" during: {few(found.jobs)}" if found.jobs else ""
    lines = [*_rows("cause", found.by + during), *_rows("log", few(found.logs))]
    lines += _rows("kept", f"all that was complete{over}")
    lines += _next(again)
    return "\n".join(["", f"{bold('INTERRUPTED', 'yellow', color)}  {plain(name)}", "", *lines, ""])


def _next(again: str) -> Iterator[str]:
    yield from _rows("next", again and f"{again}    # goes on where it stopped")


def unexpected(verdicts: Mapping[str, str], expected: Iterable[str]) -> str:
    """Which verdicts are not the expected ones."""
    found = [f"{verdict} ({name})" for name, verdict in verdicts.items()]
    return plain(f"expected {' or '.join(expected)}, got {few(found)}")


def files(ended: Ended) -> str:
    """The files that a command made, which are not about one certificate."""
    return "\n".join(["", *_made(ended.made), _took(ended), ""])


def _made(paths: Iterable[Path]) -> Iterator[str]:
    for path in paths:
        if path.name not in _WITH_CERTIFICATE:
            yield _row(_FILES.get(path.name, "made"), str(path))


def _took(ended: Ended) -> str:
    nothing = "nothing: all of it was made before"
    return _row("took", nothing if ended.seconds is None else duration(ended.seconds))


def report(said: str) -> str:
    """The closing lines as Snakemake's --report opens on them: Jinja that makes reStructuredText.

    They stand in a literal block, in which nothing is markup, and no brace of theirs is Jinja's.
    They are wrapped: the page would show the beginnings alone.
    """
    lines = said.strip().splitlines() or ["no certificate yet"]
    verdict = lines[0].partition("  ")[0]
    title = [verdict, "=" * len(verdict), "", "::", ""]
    end = ["", "The page with the evidence is under *Results*.", ""]
    shown = (
        wrap(line, 76, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
        for line in lines
    )
    block = [f"  {part}" for parts in shown for part in parts or [""]]
    text = "\n".join([*title, *block, *end])
    return text.replace("{", "{{ '{' }}")


def _title(link: Signatory, report: dict[str, Any], color: bool) -> list[str]:
    """UNSIGNED before all else, where nobody vouches for the rest."""
    unsigned = "" if link.keyid else bold(names.UNSIGNED, "yellow", color) + "  "
    name = plain(report["experiment"]["name"])
    return ["", f"{unsigned}{_shown(link.outcome, color)}  {name}", ""]


def _shown(outcome: str, color: bool) -> str:
    look = wording.LOOKS.get(outcome)
    return bold(outcome, look.color if look else _REPLAY_COLORS[outcome], color)


def _places(link: Signatory, ended: Ended) -> Iterator[str]:
    """Who signed, where the files are, and how to verify them."""
    nobody = f"{names.UNSIGNED}: anyone could have made it; signing=local signs it with your key"
    yield _row("signature", f"signed {link.by}" if link.keyid else nobody)
    yield _row("certificate", str(ended.path))
    yield _row("page", str(ended.path.with_suffix(".html")))
    yield from _made(ended.made)
    yield _row("verify", wording.verify_command(str(ended.path), program()))
    yield _took(ended)
    yield ""


def _artifacts(artifacts: Iterable[dict[str, Any]]) -> Iterator[str]:
    for found in artifacts:
        yield from _compared(found["artifact"], found["expected"], found["got"])


def _epochs(epochs: Iterable[dict[str, Any]]) -> Iterator[str]:
    for found in epochs:
        name, expected, got = f"epoch {found['epoch']}", found["expected"], found["got"]
        if expected == got:
            yield _row(name, "identical")
        for part in sorted(expected):
            if not got or got[part] != expected[part]:
                other = f"{got[part]} ({part})" if got else None
                yield from _compared(name, f"{expected[part]} ({part})", other)
        if got and not found["history"]:
            yield _row(name, "the history's values differ")


def _compared(name: str, expected: str, got: str | None) -> Iterator[str]:
    if got == expected:
        yield _row(name, "identical")
    else:
        yield _row(name, f"expected {expected}")
        yield _row("", f"got      {got or 'none'}")


def _rows(what: str, value: str) -> Iterator[str]:
    """A row for each line, the first one with its title; none where there is nothing to say."""
    for number, line in enumerate(value.splitlines()):
        yield _row("" if number else what, line)


def _row(what: str, value: str) -> str:
    return f"  {plain(what):<12} {plain(value)}"


def _scope(report: dict[str, Any]) -> Iterator[str]:
    """Early end, variations with and without effect, needed pins, what was not varied."""
    scope = report["scope"]
    ended = scope["epochs"] and scope["epochs"]["trained"] < scope["epochs"]["at_most"]
    found = {
        "epochs": [wording.epochs(scope)] if ended else [],
        "resumed": wording.resumed(scope),
        "varied without effect": names.survived(report),
        "not tried": [v["what"] for v in scope["variations"] if v["outcome"] == names.NOT_TRIED],
        "only if pinned": scope["conditions"],
        "written and read by runs": scope["left"],
        "Python threads": [wording.threads(report)],
        names.REPLACED: [wording.replaced(report)],
        "looked up, set in no run": [wording.variable(name) for name in scope["undeclared"]],
    }
    for said, titles in found.items():
        if any(titles):
            yield f"  {said}: {plain(', '.join(dict.fromkeys(titles)))}"
    if names.survived(report):
        yield f"  not varied: {plain(few(scope['not_varied'], _MOST_NOT_VARIED))}"


def cost(comparisons: list[PlannedComparison], places: str) -> str:
    """What a protocol with more than two runs will train; empty for a protocol with two."""
    wanted = list(runs(comparisons))
    full = [run for run in wanted if run.samples is None]
    if len(full) <= _USUAL_RUNS:
        return ""
    emulated = [run for run in wanted if run.variations == ("cpu",)]
    varied = [TITLES[run.variations[0]] for run in full if len(run.vary) == 1]
    kinds = {
        "as the control once more": sum(run.name == REPEAT for run in full),
        f"vary one condition ({few(varied)})": len(varied),
        "unpin one setting": sum(bool(run.unpin) for run in full),
    }
    named = listed([f"{count} {kind}" for kind, count in kinds.items() if count])
    lines = [f"{len(full)} full trainings {places} instead of {_USUAL_RUNS}: {named}"]
    if emulated:
        part = f"{emulated[0].samples} samples, {emulated[0].epochs} epochs"
        lines.append(f"{len(emulated)} emulated trainings of {part}, each about ten times slower")
    return "\n".join(lines)


def size(epochs: int, comparisons: list[PlannedComparison]) -> str:
    """A warning, before hours of training, of a certificate that is too large; else empty."""
    full = sum(run.samples is None for run in runs(comparisons))
    least = _VALUES_PER_EPOCH * epochs * full
    if least <= names.MOST_VALUES:
        return ""
    return (
        f"! {epochs:,} epochs in {full} trainings are {least:,} values or more, and a certificate "
        f"holds {names.MOST_VALUES:,} at most, so none will be issued: train fewer epochs, or with "
        "fewer runs (protocol=varied)"
    )


def dry_run(name: str, would: Iterable[tuple[str, str]]) -> str:
    """What would be done: verbs, and what each is about."""
    rows = [_row(verb and f"would {verb}", what) for verb, what in would]
    return "\n".join(["", f"DRY RUN  {plain(name)}: nothing was made", "", *rows, ""])


def search(config: Any, found: Found, missing: list[str], seconds: float) -> str:
    """What the search for a cause trains next, about how long that takes, how to skip it.

    ``found``: the comparisons that decided on it; ``missing``: the runs that it makes;
    ``seconds``: for each.
    """
    first, repeated, more = found[FIRST], found.get(REPEAT), len(missing)
    trainings = f"{more} more training{'s' if more > 1 else ''}"
    if (repeated or first)["identical"] and all(name.endswith(SECOND) for name in missing):
        why = "bits differ where one condition alone is varied"
        what = f"{trainings} under the same conditions, to tell that from a race"
    elif repeated is None:
        later = len([*runs(plan(config, {**found, REPEAT: ALIKE[FIRST]}))]) - _USUAL_RUNS - more
        why = "control and replica differ"
        if first["identical"]:
            why = f"runs write files that runs look for ({few(first['left'])})"
        what = f"{trainings} ({REPEAT}) shows whether they repeat"
        what += f", then up to {later} vary one condition each" if later else ""
        more += later
    elif repeated["identical"]:
        why, what = f"{REPEAT} is identical to control", f"{trainings}, to find what is not"
    else:
        why = f"{REPEAT} differs from control: not repeatable under identical conditions"
        what = f"{trainings}, to find whether an earlier run left something"
    skip = "" if first["identical"] else "; to skip this: protocol.explain=[]"
    return f"{why}. {what}, about {duration(more * seconds)}{skip}"


def _reasons(reasons: list[str]) -> Iterator[str]:
    for reason in reasons[:_MOST_REASONS]:
        yield f"  - {plain(reason)}"
    if len(reasons) > _MOST_REASONS:
        yield f"  and {len(reasons) - _MOST_REASONS} more, in the certificate"


def _source(report: dict[str, Any]) -> Iterator[str]:
    """The repositories, where something was not as in their commits; files from elsewhere."""
    of = "Program" if programs.of(report) else "Model"
    for what, said in wording.repositories(report["source"], of):
        if " " in said:
            yield _row(what.lower(), said)
    read = [entry["path"] for entry in wording.opened(report)["read"]]
    if outside := [path for path in read if wording.is_outside(path)]:
        yield _row("files", f"read outside of the source: {few(outside)}")


def _histories(report: dict[str, Any]) -> Iterator[str]:
    records = report["records"]["runs"]
    for name in (CONTROL, REPLICA):
        digest = records[name]["digests"].get("history") if records.get(name) else None
        yield f"  {'history of':<12} {name:<9} {digest or 'none'}"
    if len(records) > _USUAL_RUNS:
        yield f"  {'other runs':<12} {len(records) - _USUAL_RUNS}, in the certificate"
