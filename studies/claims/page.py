#!/usr/bin/env python3
"""Put the tested claims of the article on one page.

INPUTS      --claim   JSON that run.py wrote; once per claim and framework
OUTPUTS     --output  claims.json: all of them, by claim and TensorFlow version
            --page    the same as one HTML page
GUARANTEES  every cell of the page is an outcome that was measured, on the same data and training:
            a claim that is missing on a framework, or there twice, is an error and leaves no output
"""

import argparse
import ast
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from claims import judge
from samebits import errors
from samebits.errors import SamebitsError
from samebits.formats import canonical, files
from samebits.pages import templates

FORMAT = "samebits-claims-1"
TEMPLATE = Path(__file__).with_name("page.html.j2")

# Outcome: its style and its sign.
_SIGNS = {
    judge.YES: ("good", "✓"),
    judge.NO: ("bad", "✗"),
    judge.NOT_APPLICABLE: ("soft", "–"),
    judge.NOT_SHOWN: ("open", "?"),
}


def collect(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Every claim with its results by TensorFlow version. Raises SamebitsError."""
    by_key = {(result["claim"], result["versions"]["tensorflow"]): result for result in results}
    versions = sorted({version for _, version in by_key}, key=_numbers)
    wanted = Counter((claim, version) for claim in judge.CLAIMS for version in versions)
    found = Counter((result["claim"], result["versions"]["tensorflow"]) for result in results)
    if wrong := sorted((found - wanted) | (wanted - found)):
        raise SamebitsError(
            "claims: expected one result per claim and TensorFlow version, got none or several "
            f"of {', '.join(f'{claim} ({version})' for claim, version in wrong)}; make them again"
        )
    if any(result["experiment"] != results[0]["experiment"] for result in results):
        raise SamebitsError("claims: the results are of different data; delete and make them again")
    listed = [
        {"claim": claim, "results": [by_key[claim, version] for version in versions]}
        for claim in judge.CLAIMS
    ]
    return {"format": FORMAT, "experiment": results[0]["experiment"], "claims": listed}


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def render(collected: dict[str, Any]) -> str:
    """The page. Whatever was measured is escaped."""
    results = [result for claim in collected["claims"] for result in claim["results"]]
    outcomes = Counter(result["outcome"] for result in results)
    machines = ("{cpu}, {cpus} CPUs, {os}".format(**result["machine"]) for result in results)
    filters = {"sentence": sentence, "code": _code, "starts": starts}
    return templates.template(TEMPLATE, filters).render(
        collected=collected,
        signs=_SIGNS,
        article=(judge.PROGRAMS / "article.py").read_text(encoding="utf-8"),
        frameworks=[result["versions"] for result in collected["claims"][0]["results"]],
        counted=[(word, outcomes[word]) for word in _SIGNS if outcomes[word]],
        deviations=[result for result in results if result["outcome"] == judge.NO],
        machines=list(dict.fromkeys(machines)),
        seconds=sum(result["seconds"] for result in results),
    )


def sentence(result: dict[str, Any]) -> str:
    """What the article says: the docstring of the program that tests it."""
    return " ".join(str(ast.get_docstring(ast.parse(result["program"]))).split())


def _code(program: str) -> str:
    """A program without its docstring, which is the heading on the page."""
    return program.partition('"""')[2].partition('"""')[2].strip()


def starts(result: dict[str, Any]) -> Iterator[str]:
    """How a program was started, as a person would type it; equal neighbors are counted."""
    typed = (
        " ".join([*(f"{k}={v}" for k, v in sorted(p["variables"].items())), "python"])
        for p in result["processes"]
    )
    for command, equal in groupby(typed):
        times = len(list(equal))
        yield f"$ {command} {result['claim']}.py" + (f"  # {times} times" if times > 1 else "")


def main() -> int:
    """Collect, write the JSON and the page."""
    parser = argparse.ArgumentParser(description="Put the tested claims on one page.")
    parser.add_argument("--claim", required=True, type=Path, nargs="+", metavar="FILE")
    for name in ("output", "page"):
        parser.add_argument(f"--{name}", required=True, type=Path)
    options = parser.parse_args()
    collected = collect([canonical.read_json(path) for path in options.claim])
    files.write_bytes(options.page, render(collected).encode("utf-8"))
    canonical.write_json(options.output, collected)  # last: where it is, the page is too
    return 0


if __name__ == "__main__":
    errors.run(main)
