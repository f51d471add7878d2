"""The certificate as one HTML page. It knows the certificate's JSON and nothing else."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from samebits import canonical, drawing, history
from samebits.grading import ARTEFACTS, INCONCLUSIVE, NOT_REPRODUCIBLE, REPRODUCIBLE, UNSUPPORTED

TEMPLATE = Path(__file__).with_name("certificate.html.j2")

# Verdict: its style, and the headline. The sign beside it is in the template.
_FACES = {
    REPRODUCIBLE: ("good", "Reproducible"),
    NOT_REPRODUCIBLE: ("bad", "Not reproducible"),
    UNSUPPORTED: ("unsupported", "Unsupported"),
    INCONCLUSIVE: ("open", "Inconclusive"),
}
_TITLES = {"history": "History", "weights": "Final weights", "optimizer": "Optimizer state"}
_MEANINGS = {
    "history": "loss and metrics of every epoch",
    "weights": "every number that the model learned",
    "optimizer": "its step count and moments: what training on would start from",
}


def render(certificate: dict[str, Any]) -> str:
    """The page. Whatever the certificate quotes is escaped."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"said": said, "exact": drawing.number, "pretty": _pretty}
    return environment.get_template(TEMPLATE.name).render(_content(certificate))


def _content(certificate: dict[str, Any]) -> dict[str, Any]:
    style, headline = _FACES[certificate["verdict"]]
    runs = _runs(certificate)
    histories = {
        name: history.from_json(certificate["histories"][name])
        for name in runs
        if name in certificate["histories"]
    }
    return {
        "certificate": certificate,
        "digest": canonical.digest(certificate),
        "style": style,
        "headline": headline,
        "runs": runs,
        "drawn": list(histories),
        "rays": drawing.rays(certificate["experiment"]["digest"]),
        "summary": list(_summary(certificate)),
        "artefacts": list(_artefacts(certificate)),
        "panels": drawing.panels(histories) if histories else (),
        "last": list(_last_epoch(histories)),
        "frame": drawing,
        "differences": list(_differences(certificate)),
        "settings": list(_settings(certificate, runs)),
        "timing": list(_timing(certificate, runs)),
    }


def _runs(certificate: dict[str, Any]) -> list[str]:
    """The control first, then the others as compared; without a comparison by name."""
    names = sorted(certificate["records"]["runs"])
    comparison = certificate["comparison"]
    if comparison is None:
        return names
    compared = [comparison["control"], *(run["run"] for run in comparison["runs"])]
    return [name for name in compared if name in names] + [n for n in names if n not in compared]


def _summary(certificate: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What a reader wants to know first, in a few words each."""
    config, load = certificate["experiment"]["config"], certificate["records"]["load"]
    yield "Experiment", certificate["experiment"]["name"]
    if config is not None:
        yield "Model", str(config["model"].get("option", config["model"].get("_target_")))
        yield "Framework", f"TensorFlow {config['framework'].get('tensorflow')}"
        yield "Determinism", str(config["determinism"].get("option"))
        yield "Seed", said(config["seed"])
    if load is not None:
        yield "Data", load["dataset"]
    yield "Runs", str(len(certificate["records"]["runs"]))
    yield "Issued", certificate["issued"].replace("T", " ").replace("Z", " UTC")


def _artefacts(certificate: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Artefact by artefact, each replica beside the control."""
    comparison = certificate["comparison"] or {"runs": [], "control": ""}
    for name in ARTEFACTS:
        for run in comparison["runs"]:
            for artefact in run["artefacts"]:
                if artefact["artefact"] == name:
                    yield {
                        "title": _TITLES[name],
                        "meaning": _MEANINGS[name],
                        "identical": artefact["identical"],
                        "absent": None in artefact["digests"],
                        "runs": list(
                            zip(
                                (comparison["control"], run["run"]),
                                artefact["digests"],
                                map(drawing.bars, artefact["digests"]),
                                strict=True,
                            )
                        ),
                    }


def _last_epoch(histories: dict[str, history.History]) -> Iterator[dict[str, Any]]:
    names = dict.fromkeys(name for metrics in histories.values() for name in metrics)
    for name in names:
        values = {run: metrics[name][-1:] for run, metrics in histories.items() if name in metrics}
        yield {"name": name, "values": {run: v[0] for run, v in values.items() if v}}


def _differences(certificate: dict[str, Any]) -> Iterator[dict[str, Any]]:
    comparison = certificate["comparison"]
    for run in comparison["runs"] if comparison else ():
        for artefact in run["artefacts"]:
            for difference in artefact["differences"]:
                yield difference | {"run": run["run"], "where": _TITLES[artefact["artefact"]]}


def _settings(certificate: dict[str, Any], runs: list[str]) -> Iterator[dict[str, Any]]:
    """Each probed setting once, with what every run found."""
    records = certificate["records"]["runs"]
    known = {run: {s["name"]: s for s in records[run]["settings"]} for run in runs if records[run]}
    for name in dict.fromkeys(name for settings in known.values() for name in settings):
        found = {run: settings[name] for run, settings in known.items() if name in settings}
        first = next(iter(found.values()))
        values = {run: said(setting["effective"]) for run, setting in found.items()}
        yield {
            "name": name,
            "pinned": first["expected"] is not None,
            "expected": said(first["expected"]),
            "effective": values
            if len(set(values.values())) > 1
            else {"": next(iter(values.values()))},
            "how": first["how"],
            "holds": all(
                setting["expected"] is None
                or canonical.digest(setting["expected"]) == canonical.digest(setting["effective"])
                for setting in found.values()
            ),
        }


def _timing(certificate: dict[str, Any], runs: list[str]) -> Iterator[tuple[str, str]]:
    for run in runs:
        timing = (certificate["records"]["runs"][run] or {}).get("timing") or {}
        parts = [
            f"{timing[key]:.1f} s {words}"
            for key, words in (("fit_seconds", "training"), ("seconds", "in all"))
            if isinstance(timing.get(key), int | float)
        ]
        peak = timing.get("peak_memory_bytes")
        if isinstance(peak, int):
            parts.append(f"at most {peak / 2**30:.2f} GiB of memory")
        if parts:
            yield run, ", ".join(parts)


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
    return json.dumps(value, ensure_ascii=False)


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
