"""The article's claims as one HTML page, from what claim.py measured and nothing else."""

from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Template

from samebits import claims
from samebits.errors import SamebitsError
from samebits.pages import templates

TEMPLATE = Path(__file__).with_name("claims_page.html.j2")
STYLE = Path(__file__).parent / "pages" / "style.css"  # both pages look alike
FORMAT = "samebits-claims-1"

# Outcome: its style and its sign.
_FACES = {
    claims.YES: ("good", "✓"),
    claims.NO: ("bad", "✗"),
    claims.NOT_APPLICABLE: ("soft", "–"),
    claims.NOT_SHOWN: ("open", "?"),
}
_LONGEST = 72  # characters of a value


def collect(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Every claim with its results by TensorFlow version. Raises SamebitsError, see claims.py."""
    found = Counter((result["claim"], result["versions"]["tensorflow"]) for result in results)
    versions = sorted({version for _, version in found}, key=_numbers)
    wanted = Counter((claim.key, version) for claim in claims.CLAIMS for version in versions)
    wrong = sorted(set((found - wanted) | (wanted - found)))
    if wrong:
        raise SamebitsError(
            "claims: expected one result per claim and TensorFlow version, got none or several "
            f"of {', '.join(f'{key} ({version})' for key, version in wrong)}; make them again"
        )
    if any(result["experiment"] != results[0]["experiment"] for result in results):
        raise SamebitsError(
            "claims: expected results of the same data and training, got different ones; delete "
            "them to have all made again"
        )
    by_key = {(result["claim"], result["versions"]["tensorflow"]): result for result in results}
    return {
        "format": FORMAT,
        "experiment": results[0]["experiment"],
        "claims": [
            {
                "claim": claim.key,
                "sentence": claim.sentence,
                "results": [by_key[claim.key, version] for version in versions],
            }
            for claim in claims.CLAIMS
        ],
    }


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def render(collected: dict[str, Any]) -> str:
    """The page. Whatever was measured is escaped."""
    return _template().render(
        style=STYLE.name,
        collected=collected,
        faces=_FACES,
        frameworks=[result["versions"] for result in collected["claims"][0]["results"]],
        counted=list(_counted(collected)),
        deviations=list(_deviations(collected)),
        programs={claim["claim"]: list(programs(claim)) for claim in collected["claims"]},
        machines=list(_machines(collected)),
        seconds=sum(r["seconds"] for claim in collected["claims"] for r in claim["results"]),
    )


@cache
def _template() -> Template:
    filters = {"short": _short, "digest": lambda digest: digest[:12]}
    return templates.template(TEMPLATE, filters)


def _counted(collected: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """How often each outcome came out, in the order of the signs."""
    outcomes = Counter(r["outcome"] for claim in collected["claims"] for r in claim["results"])
    return ((word, outcomes[word]) for word in _FACES if outcomes[word])


def _machines(collected: dict[str, Any]) -> Iterator[str]:
    """Every machine that measured: one, unless a cluster ran the claims."""
    found = [r["machine"] for claim in collected["claims"] for r in claim["results"]]
    return iter(dict.fromkeys("{cpu}, {cpus} CPUs, {os}".format(**machine) for machine in found))


def _deviations(collected: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every result that says no."""
    for claim in collected["claims"]:
        for result in claim["results"]:
            if result["outcome"] == claims.NO:
                yield result


def programs(claim: dict[str, Any]) -> Iterator[tuple[int, str]]:
    """The programs of a claim as a person would type them, equal neighbours counted."""
    for text, equal in groupby(map(_program, claim["results"][0]["programs"])):
        yield len(list(equal)), text


def _program(program: dict[str, Any]) -> str:
    variables = [f"{name}={value}" for name, value in sorted(program["variables"].items())]
    lines = [" ".join(["$", *variables, "python"])]
    if program["imports"]:
        lines.append(f"import {', '.join(program['imports'])}")
    lines += [f"assert {need}" for need in program["needs"]]
    lines += program["setup"]
    lines += [f"print({expression})" for expression in program["values"]]
    if program["trainings"]:
        steps = [*program["before_each"], "build_compile_and_fit()"]
        lines.append(f"for _ in range({program['trainings']}):")
        lines += [f"    {step}" for step in steps]
    return "\n".join(lines)


def _short(value: str) -> str:
    """A value on one line, cut where it is long."""
    text = " ".join(value.split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
