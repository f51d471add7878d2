"""What the runs found in effect and around them, as rows of the page."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from samebits.formats import canonical
from samebits.pages import wording

Report = Mapping[str, Any]


def settings(report: Report, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Each probed setting once, with what the runs found."""
    records = report["records"]["runs"]
    known = {
        run: {setting["name"]: setting for setting in (records[run] or {}).get("settings", ())}
        for run in names
    }
    for name in dict.fromkeys(name for settings in known.values() for name in settings):
        found = {run: settings[name] for run, settings in known.items() if name in settings}
        first = next(iter(found.values()))
        yield {
            "name": name,
            "pinned": first["expected"] is not None,
            "expected": said(first["expected"]),
            "effective": _grouped({run: s["effective"] for run, s in found.items()}, names),
            "how": first["how"],
            "broken": wording.few([run for run, setting in found.items() if not _holds(setting)]),
        }


def _holds(setting: dict[str, Any]) -> bool:
    expected, effective = setting["expected"], setting["effective"]
    return expected is None or canonical.digest(expected) == canonical.digest(effective)


def differed(report: Report, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """What was not the same in all runs."""
    for fact in report["scope"]["differed"]:
        yield {"what": fact["what"], "values": _grouped(fact["values"], names)}


def _grouped(values: Mapping[str, Any], names: Sequence[str]) -> list[tuple[str, str]]:
    """Each value once, with the runs that have it; no run is named when all have the same."""
    runs: dict[str, list[str]] = {}
    for run in (name for name in names if name in values):
        runs.setdefault(seen(values[run]), []).append(run)
    if len(runs) == 1:
        return [(value, "") for value in runs]
    return [(value, wording.few(names)) for value, names in runs.items()]


def timing(report: Report, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Time and memory of the first two runs, and the time of all others together."""
    records = report["records"]["runs"]
    timings = {run: (records[run] or {}).get("timing") or {} for run in names}
    for run, timing in list(timings.items())[:2]:
        parts = [
            f"{timing[key]:.1f} s {words}"
            for key, words in (("fit_seconds", "training"), ("seconds", "in all"))
            if _is_number(timing.get(key))
        ]
        peak = timing.get("peak_memory_bytes")
        if isinstance(peak, int):
            parts.append(f"at most {peak / 2**30:.2f} GiB of memory")
        if parts:
            yield f"time and memory, {run}", ", ".join(parts)
    others = [t["seconds"] for t in list(timings.values())[2:] if _is_number(t.get("seconds"))]
    if others:
        yield f"time, {len(others)} other runs", f"{sum(others):.1f} s in all"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def said(value: Any) -> str:
    """A setting's value as a person would say it."""
    if value is None:
        return "not pinned"
    if isinstance(value, bool):
        return "on" if value else "off"
    if value in ({}, []):
        return "none"
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return ", ".join(value)
    return json.dumps(value, ensure_ascii=False)


def seen(value: Any) -> str:
    """What a run saw of its surroundings."""
    return "–" if value is None else said(value)
