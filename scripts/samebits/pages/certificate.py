"""The certificate as one HTML page, made from the certificate's JSON alone."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from samebits.certificate import interruptions, signatories
from samebits.certificate.signatories import Signatory
from samebits.certificate.types import (
    Certificate,
    Distance,
    Drawn,
    ReplayEntry,
    Report,
    Setting,
    Variation,
)
from samebits.comparison import attribution
from samebits.experiment.protocol import CONTROL
from samebits.formats import as_installed, canonical, history, lockfile, names, states
from samebits.pages import charts, remedies, templates, wording
from samebits.pages import program as programs
from samebits.pages import runs as compared
from samebits.pages.runs import Compared
from samebits.text import few

TEMPLATE = templates.FOLDER / "certificate.html.j2"

_CUSTOM = "custom"  # the option for a model of the user's own
_OF_FIT = re.compile(rf"(?s)^(\d+ fit.*: ){charts.VALIDATION}(?=[^:]*$)")
_MOST_CURVES = 4  # runs
_MOST_METRICS = 8  # rows on the first page
_MOST_REASONS = 8  # on the first page; all are in an annex
_MOST_LINKS = 3  # replays on the first page: the latest; all are in an annex
_MOST_DRAWN = 3  # replays of which the divergence is drawn
# The most interesting first.
_OUTCOMES = (names.FAILED, names.REFUSED, names.DIFFERENT, names.SAME, names.NOT_TRIED)


def render(certificate: Any) -> str:
    """The page. All text from the certificate is escaped."""
    content = _of_report(certificate["report"]) | trust(certificate)
    return templates.template(TEMPLATE, _FILTERS).render(
        content | {"certificate": certificate, "digest": canonical.digest(certificate)}
    )


def _of_report(report: Report) -> dict[str, Any]:
    look = wording.LOOKS[report["verdict"]]
    runs = compared.compared(report)
    order = _order(report, runs)
    histories = _histories(report, runs)
    differences, more = compared.differences(runs)
    drawn, listed = compared.divergences(runs)
    metrics = list(_metrics(histories))
    return {
        "report": report,
        "program": programs.described(report),
        "style": look.style,
        "sign": look.sign,
        "headline": look.headline,
        "wording": wording,
        "standing": list(_standing(report, runs)),
        "first_reasons": report["reasons"][:_MOST_REASONS],
        "more_reasons": len(report["reasons"][_MOST_REASONS:]),
        "summary": list(_summary(report)),
        "metrics": metrics[:_MOST_METRICS],
        "more_metrics": metrics[_MOST_METRICS:],
        "artifacts": list(compared.artifacts(runs)),
        "gists": _gists(report, runs),
        "varied": list(_varied(report, runs)),
        "pins": list(_pins(report)),
        "primitives": _primitives(report, CONTROL),
        "on_other_cpus": _on_other_cpus(report),
        "other_primitives": list(_other_primitives(report, runs)),
        "divergences": drawn,
        "more_divergences": listed,
        "differences": differences,
        "more_differences": more,
        "self_checks": compared.self_checks(report),
        "canaries": compared.canaries(report),
        "drawn": list(histories),
        "curves": charts.curves(histories),
        "frame": charts,
        "checkpoints": states.commitment(report),
        "sampling": interruptions.sampling_problem(report["records"]["runs"]) is None,
        "settings": list(settings(report, order)),
        "differed": list(differed(report, order)),
        "timing": list(timing(report, order)),
    }


def _order(report: Report, runs: Sequence[Compared]) -> list[str]:
    """All runs in the order of the comparisons, whatever the order in the certificate."""
    known = sorted(report["records"]["runs"])
    order = dict.fromkeys(name for run in runs for name in (run.control, run.run))
    return [name for name in order if name in known] + [n for n in known if n not in order]


# --- the first page -------------------------------------------------------------------------


def _standing(report: Report, runs: Sequence[Compared]) -> Iterator[tuple[str, str]]:
    """The conditions of the verdict in a few words each, the most important first."""
    verdict, scope = report["verdict"], report["scope"]
    if scope["resumed"]:
        yield "Killed and resumed", "; ".join(wording.resumed(scope))
    if scope["within"]:
        yield from _distances(report, scope["within"])
    if verdict in (names.NOT_REPRODUCIBLE, names.WITHIN_TOLERANCE):
        yield "Depends on", ", ".join(scope["depends_on"]) or _UNKNOWN[scope["repeatable"]]
        yield "Repeatable", _REPEATABLE[scope["repeatable"]]
        yield "Outcomes", compared.counted(runs)
        differing = compared.unexpected(runs)
        for run in [run for run in differing if run.result["divergence"]][:1] or differing[:1]:
            yield "First difference", f"{run.run}: {compared.first_difference(run)}"
    elif scope["conditions"]:
        yield "Only if pinned", ", ".join(scope["conditions"])
    for culprit, what in remedies.remedies(report):
        yield f"Remedy: {culprit}", what
    yield from programs.standing(report)
    for run in runs:
        if apart := _apart(run.record):
            yield "With and without oneDNN", apart
    if replaced := wording.replaced(report):
        yield (
            "Computed differently from TensorFlow",
            f"{replaced}, where TensorFlow's kernel is wrong",
        )
    same = names.survived(report)
    if same:
        yield "Varied without effect", ", ".join(same)
    elif verdict == names.REPRODUCIBLE:
        yield "Varied", "nothing; all runs started under the same conditions"
    missed = [v["what"] for v in scope["variations"] if v["outcome"] == names.NOT_TRIED]
    if set(missed) - set(same):
        yield "Not tried", ", ".join(what for what in dict.fromkeys(missed) if what not in same)
    if scope["undeclared"]:
        yield "Looked up, set in no run", ", ".join(map(wording.variable, scope["undeclared"]))
    opened = wording.opened(report)
    if opened["problem"]:
        yield "Files", f"not all that the program opened are known: {opened['problem']}"
    if outside := [file["path"] for file in opened["read"] if wording.is_outside(file["path"])]:
        yield "Files outside of the source", few(outside)


def _apart(record: Mapping[str, Any]) -> str:
    """How far the gradients of one step are apart at most; empty where a run did not compare."""
    tensors = (record.get("another") or {"tensors": ()})["tensors"]
    known = [t["apart"] / t["largest"] for t in tensors if t["apart"] is not None and t["largest"]]
    what = f"{len(tensors)} gradients of one step differ by at most"
    return f"{what} {max(known):.1g} of the largest number of each" if known else ""


# Text for "depends on" when no variation on its own changes the bits.
_UNKNOWN = {
    True: "none of the variations on its own",
    False: "something that changes from run to run by itself",
    None: "unknown",
}
_REPEATABLE = {
    True: "yes, under identical conditions",
    False: "no, not even under identical conditions",
    None: "not tried",
}


def _distances(report: Report, within: Distance) -> Iterator[tuple[str, str]]:
    apart = f"{within['absolute']:.3g}; {within['ulp']:,} ULP in weights, state and outputs"
    yield "Largest difference", apart
    config = report["experiment"]["config"]
    asked = config["protocol"].get("tolerance") if config else None
    if asked:
        ulp = "" if asked.get("ulp") is None else f" and {asked['ulp']:,} ULP"
        yield "Tolerance", f"at most {asked['absolute']:.3g}{ulp}"


def _summary(report: Report) -> Iterator[tuple[str, str]]:
    """The facts in the table below the verdict."""
    config, load = report["experiment"]["config"], report["records"]["load"]
    yield "Experiment", report["experiment"]["name"]
    if (program := programs.of(report)) is not None:
        yield "Program", programs.command(program)
    if config is not None:
        if "model" in config:
            option = config["model"].get("option")
            yield "Model", str(option if option != _CUSTOM else config["model"].get("_target_"))
        yield "Framework", f"TensorFlow {config['framework'].get('tensorflow')}"
        if lockfile.is_as_installed(config) and report["lock"]["text"]:
            yield "Environment", as_installed.described(report["lock"]["text"])
        yield "Determinism", str(config["determinism"].get("option"))
        yield "Seed", said(config["seed"])
    if load is not None and "inputs" in load:
        count = len(load["inputs"])
        yield "Declared inputs", f"{count:,} file{'s' * (count > 1)}" if count else "none"
    elif load is not None:
        yield "Data", load["dataset"]
    if (epochs := wording.epochs(report["scope"])) is not None:
        yield "Epochs", epochs
    control = report["records"]["runs"].get(CONTROL)
    if data := control and control.get("data"):
        yield "Samples to train on", f"{data['samples']:,}"
    yield "Runs", _counted(report["records"]["runs"], config)
    yield from wording.repositories(report["source"], "Program" if program else "Model")


def _gists(report: Report, runs: Sequence[Compared]) -> dict[str, str]:
    """What is in each annex, in a few words."""
    scope, outcomes = report["scope"], Counter(_outcomes(report).values())
    files = len(report["evidence"]) + len(report["dependencies"])
    return {
        "compared": compared.counted(runs),
        "varied": "; ".join(f"{outcome}: {n}" for outcome, n in outcomes.items()) or "nothing",
        "pinned": f"{len(scope['pinned'])} settings",
        "evidence": f"{files} files; how to verify, how to repeat, and the configuration",
    }


def _outcomes(report: Report) -> dict[str, str]:
    """What came of each thing that was varied: what its own runs say counts more than what a run
    says in which more was varied, and of several outcomes the most interesting one.
    """
    variations = report["scope"]["variations"]
    count = Counter(v["run"] for v in variations)

    def weight(variation: Variation) -> tuple[bool, int]:
        return count[variation["run"]] == 1, -_OUTCOMES.index(variation["outcome"])

    found = {v["what"]: v["outcome"] for v in sorted(variations, key=weight)}
    return found | dict.fromkeys(names.survived(report), names.SAME)


def _counted(records: Mapping[str, Any], config: Any) -> str:
    """How many runs, by which protocol, and how many did not complete."""
    found = Counter(r["status"] if r else "without a record" for r in records.values())
    notes = [str(config["protocol"]["option"])] if config and "option" in config["protocol"] else []
    notes += [f"{found[other]} {other}" for other in sorted(found) if other != names.COMPLETED]
    return f"{len(records)} ({', '.join(notes)})" if notes else str(len(records))


# --- variations and pins -----------------------------------------------------------------------


def _varied(report: Report, runs: Sequence[Compared]) -> Iterator[dict[str, Any]]:
    """The variations that one run had together, then those that were tried one at a time."""
    variations = report["scope"]["variations"]
    alone, unvaried = list[Any](), list[Any]()
    for run in runs if variations else ():
        rows = [variation for variation in variations if variation["run"] == run.run]
        if len(rows) > 1:
            outcome = run.bits if run.changed else names.NOT_TRIED
            yield {"run": run.run, "outcome": outcome, "rows": rows}
        elif rows:
            alone += rows
        elif not run.unpinned:
            threads = "threads" in run.record.get("variations", {}).get("applied", {})
            what = f"nothing: {'no Python thread ran' if threads else 'identical conditions'}"
            unvaried.append(_NOTHING | {"what": what, "run": run.run, "outcome": run.bits})
    alone.sort(key=lambda row: _OUTCOMES.index(row["outcome"]))
    if alone or unvaried:
        yield {"run": None, "outcome": None, "rows": [*unvaried, *alone]}


_NOTHING = {"control": "", "value": "", "why": None}


def _pins(report: Report) -> Iterator[dict[str, Any]]:
    """Each setting that was unpinned: its pinned value, its value without the pin, the outcome."""
    pinned = {fact["what"]: fact["value"] for fact in report["scope"]["pinned"]}
    for pin in report["scope"]["pins"]:
        found = _probed(report, pin["run"]).get(pin["what"])
        effective = seen(found["effective"] if found else None)
        yield pin | {"pinned": seen(pinned.get(pin["what"])), "unpinned": effective}


def _on_other_cpus(report: Report) -> list[str]:
    """The atlas' word on each primitive that control made; nothing where it has none."""
    known = next((c["primitives"] for c in report["comparisons"] if c["control"] == CONTROL), None)
    if known is None:
        return []
    rows = {attribution.implementation(row): row for row in known}
    return [_of_shape(rows.get(made[:3]), made[3]) for made in _primitives(report, CONTROL)]


def _of_shape(row: Drawn | None, shape: str) -> str:
    if row is None:
        return "not tried"
    seen = f"{row['dependent']:,} of {row['cases']:,}"
    return f"{seen}, this one too" if shape in row["shapes"] else seen


def _primitives(report: Report, run: str) -> list[tuple[str, ...]]:
    """What oneDNN made in a run: kind, implementation, direction, shape; nothing if not known."""
    record = report["records"]["runs"].get(run)
    known = record["primitives"] if record else None
    return [
        (made["kind"], made["implementation"], made["direction"], made["shape"])
        for made in (known["made"] if known else ())
    ]


def _other_primitives(report: Report, runs: Sequence[Compared]) -> Iterator[str]:
    """What runs and control, pinned alike and on the same data, did not both make."""
    for run in runs if _primitives(report, CONTROL) else ():
        made, theirs = ({*_primitives(report, name)} for name in (run.control, run.run))
        if run.control == CONTROL and run.tried and not run.unpinned and made != theirs:
            for where, found in ((run.control, made - theirs), (run.run, theirs - made)):
                if found:
                    yield f"Only in {where}: {few([' '.join(one) for one in sorted(found)])}."


def _probed(report: Report, run: str) -> dict[str, Setting]:
    """The settings that a run probed, by name."""
    record = report["records"]["runs"].get(run)
    return {found["name"]: found for found in record.get("settings", [])} if record else {}


# --- metrics -----------------------------------------------------------------------------------


def _histories(report: Report, runs: Sequence[Compared]) -> dict[str, history.History]:
    """The histories of control and replica and of the groups that are drawn, each once, by the
    names of all runs that have it.
    """
    known = report["histories"]
    control = runs[0].control if runs else CONTROL
    groups = [group for group in compared.drawn(runs) if group[0].control == control]
    equal = [run.run for run in runs if run.control == control and run.bits == names.SAME]
    shown = chain(runs[:1], *groups)
    wanted = [control, *equal, *(run.run for run in shown)]
    alike: dict[str, list[str]] = {}
    for name in dict.fromkeys(name for name in wanted if name in known):
        alike.setdefault(canonical.digest(known[name]), []).append(name)
    drawn = list(alike.values())[:_MOST_CURVES]
    return {few(same, 2): _by_metric(history.from_json(known[same[0]])) for same in drawn}


def _by_metric(found: history.History) -> history.History:
    """On validation data a metric of a program's fit is named as Keras names one of a model."""
    return {_OF_FIT.sub(rf"{charts.VALIDATION}\1", name): found[name] for name in found}


def _metrics(histories: Mapping[str, history.History]) -> Iterator[dict[str, Any]]:
    """The last value of each metric, on training and on validation data."""
    for chart in charts.metrics(histories):
        for runs, values in histories.items():
            both = (values.get(prefix + chart) for prefix in ("", charts.VALIDATION))
            last = [charts.number(found[-1]) if found else "–" for found in both]
            yield {"name": chart, "runs": runs, "train": last[0], "validation": last[1]}


# --- settings, environment, time ------------------------------------------------------------


def settings(report: Report, order: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Each probed setting once, with the values that the runs observed."""
    known = {run: _probed(report, run) for run in order}
    for name in dict.fromkeys(name for settings in known.values() for name in settings):
        found = {run: settings[name] for run, settings in known.items() if name in settings}
        first = next(iter(found.values()))
        yield {
            "name": name,
            "pinned": first["expected"] is not None,
            "expected": said(first["expected"]),
            "effective": _grouped({run: s["effective"] for run, s in found.items()}, order),
            "how": first["how"],
            "broken": few([run for run, setting in found.items() if not _holds(setting)]),
        }


def _holds(setting: Setting) -> bool:
    expected, effective = setting["expected"], setting["effective"]
    return expected is None or canonical.digest(expected) == canonical.digest(effective)


def differed(report: Report, order: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Facts that were not the same in all runs."""
    for fact in report["scope"]["differed"]:
        yield {"what": fact["what"], "values": _grouped(fact["values"], order)}


def _grouped(values: Mapping[str, Any], order: Sequence[str]) -> list[tuple[str, str]]:
    """Each value once, with the runs that have it; no run is named when all have the same."""
    runs: dict[str, list[str]] = {}
    for run in (name for name in order if name in values):
        runs.setdefault(seen(values[run]), []).append(run)
    if len(runs) == 1:
        return [(value, "") for value in runs]
    return [(value, few(shared)) for value, shared in runs.items()]


def timing(report: Report, order: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Time and memory of the first two runs, and the total time of the rest."""
    records = report["records"]["runs"]
    timings = [(run, record.get("timing", {})) for run in order if (record := records[run])]
    for run, timing in timings[:2]:
        parts = [f"{timing[key]:.1f} s {words}" for key, words in _TIMES.items() if timing.get(key)]
        if timing.get("peak_memory_bytes"):
            parts.append(f"at most {timing['peak_memory_bytes'] / 2**30:.2f} GiB of memory")
        if parts:
            yield f"time and memory, {run}", ", ".join(parts)
    others = [timing["seconds"] for _, timing in timings[2:] if timing.get("seconds")]
    if others:
        yield f"time, {len(others)} other runs", f"{sum(others):.1f} s in total"


_TIMES = {"fit_seconds": "training", "seconds": "in total"}


def said(value: Any) -> str:
    """A setting's value in words."""
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
    """A value that a run observed."""
    return "–" if value is None else said(value)


def observed(value: Any) -> str:
    """What a run observed of a variation: each answer once, with the ways of asking that got it."""
    ways: dict[str, list[str]] = {}
    for way, found in value.items() if isinstance(value, dict) else [("", value)]:
        if found is not None or not isinstance(value, dict):
            ways.setdefault(seen(found), []).append(way)
    if len(ways) == 1:
        return next(iter(ways))
    return "; ".join(f"{answer} ({', '.join(asked)})" for answer, asked in ways.items()) or "–"


_FILTERS = {
    "said": said,
    "seen": seen,
    "observed": observed,
    "few": few,
    "pretty": lambda value: json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False),
    "at_step": wording.at_step,
    "kernels_text": attribution.kernels_text,
}


# --- who signed, and who repeated it ----------------------------------------------------------


def trust(certificate: Certificate) -> dict[str, Any]:
    """What the page says about signatures and replays."""
    issuer, links = signatories.certified(certificate), list(signatories.reproduced(certificate))
    return {
        "unsigned": issuer.keyid is None,
        "issuer": issuer,
        "links": links[-_MOST_LINKS:],
        "earlier": links[:-_MOST_LINKS],
        "replays": list(_replays(certificate["replays"], links)),
        "short": signatories.short,
        "title": compared.title,
        "verify": wording.verify_command(names.CERTIFICATE_FILE),
        "verify_raw": f"python3 scripts/verify.py {names.CERTIFICATE_FILE}",
        "trust_it": f"./samebits trust {names.CERTIFICATE_FILE} NAME",
        # Empty where a replay would be refused: there is nothing to compare with.
        "repeat": ""
        if [*signatories.unfit(certificate["report"])]
        else wording.replay_command(names.CERTIFICATE_FILE),
    }


def _replays(replays: Sequence[ReplayEntry], links: Sequence[Signatory]) -> Iterator[Any]:
    drawn = 0
    for number, (replay, link) in enumerate(zip(replays, links, strict=True), start=1):
        report, described = replay["report"], None
        if divergence := report.get("divergence"):
            described = compared.describe(divergence, drawn < _MOST_DRAWN)
            described |= {"runs": f"replay {number}", "control": "the certified run"}
            drawn += 1
        yield {"number": number, "link": link, "report": report, "divergence": described}
