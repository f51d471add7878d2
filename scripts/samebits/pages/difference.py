"""What diff.py found, in words."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from samebits.formats.names import COMPLETED, TITLES
from samebits.pages import wording
from samebits.text import bold, few, plain

_CAUSES = ("code", "config", "packages", "machine", "data")
_LONGEST = 40  # characters of a value; all of it is in the JSON
_DIGEST = re.compile(r"[0-9a-f]{40,64}")
_WORDS = {True: "same", False: "differ", None: "not compared: traced at other steps"}


def text(found: Any, color: bool) -> str:
    """Whether the bits differ, where first, and everything else that differs."""
    title = bold("SAME BITS", "green", color) if found["same"] else bold("OTHER BITS", "red", color)
    lines = ["", *(line for key in "ab" for line in _side(key, found[key]))]
    if not found["same"]:
        lines += ["", *_rows("bits", first(found))]
    lines += [""] if found["same"] else _artifacts(found["artifacts"])
    for name in _CAUSES:
        lines += _changes(name, found["causes"][name])
    return "\n".join([title, *map(plain, lines)])


def first(found: Any) -> Iterator[str]:
    """Where the two runs part: step and tensors, epoch and metrics, or why it is not known."""
    for key in "ab":
        if found[key]["status"] != COMPLETED:
            yield f"{key.upper()} has no result: {found[key]['status']}."
    where, history = found["divergence"], found["history"]
    if where:
        yield wording.where(where)
        if where["batch_step"] is not None:
            yield f"They received different batches from step {where['batch_step']:,} on."
    for one in found["tensors"] or ():
        yield f"{one['name']}: {one['kind']} ({one['a']} in A, {one['b']} in B)."
    if history:
        yield from _history(history)
    if without := [key.upper() for key in "ab" if not found[key]["has_files"]]:
        yield f"No step is named: the run's files are not with {few(without)}; give its bundle."


def _history(history: Any) -> Iterator[str]:
    if history["epoch"] is None:
        yield "The histories are equal in the epochs and metrics that both have."
    for metric in history["metrics"]:
        ulp = metric["ulp"]
        apart = "" if ulp is None else f", {ulp:,} ULP of {metric['dtype']} apart"
        pair = " and ".join(metric[key]["value"] for key in "ab")
        yield f"Epoch {history['epoch']}: {metric['metric']} {pair}{apart}."
    if history["epochs"][0] != history["epochs"][1]:
        yield "Epochs: {} and {}.".format(*history["epochs"])
    for side, names in zip("AB", history["only"], strict=True):
        if names:
            yield f"Metrics of {side} alone: {few(names)}."


def _side(key: str, side: Any) -> Iterator[str]:
    yield _row(key.upper(), f"{side['path']}  {side['what']}, {side['signed']}")


def _artifacts(artifacts: Any) -> Iterator[str]:
    yield ""
    for found in artifacts:
        yield _row("", f"{TITLES[found['artifact']]:<16} {_WORDS[found['same']]}")
    yield ""


def _changes(name: str, changes: Any) -> Iterator[str]:
    pairs = (" -> ".join(_short(change[key]) for key in "ab") for change in changes)
    said = [f"{change['what']}: {pair}" for change, pair in zip(changes, pairs, strict=True)]
    yield from _rows(name, said or ["same"])


def _short(value: Any) -> str:
    said = "none" if value in (None, "") else str(value)
    if _DIGEST.fullmatch(said):
        return f"{said[:12]}…"
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"


def _rows(what: str, lines: Iterable[str]) -> Iterator[str]:
    for number, line in enumerate(lines):
        yield _row("" if number else what, line)


def _row(what: str, value: str) -> str:
    return f"  {what:<12} {value}"
