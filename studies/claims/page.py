#!/usr/bin/env python3
"""Put the tested claims of the article on one page.

INPUTS      --claim   JSON that run.py wrote; once per claim and framework
OUTPUTS     --output  one HTML page
GUARANTEES  every cell of the page is an outcome that was measured, on the same data: a claim that
            is missing on a framework, or there twice, is an error and leaves no page
"""

from collections import Counter
from pathlib import Path
from typing import Any

from claims import judge
from samebits import errors
from samebits.arguments import parser
from samebits.errors import SamebitsError
from samebits.formats import canonical, files
from samebits.pages import templates

TEMPLATE = Path(__file__).with_name("page.html.j2")


def collect(results: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """For every claim its results by TensorFlow version. Raises SamebitsError."""
    found = Counter((result["claim"], result["tensorflow"]) for result in results)
    versions = sorted({v for _, v in found}, key=lambda v: [int(part) for part in v.split(".")])
    wanted = Counter((claim, version) for claim in judge.CLAIMS for version in versions)
    if wrong := sorted((found - wanted) | (wanted - found)):
        raise SamebitsError(
            "claims: expected one result per claim and TensorFlow version, got none or several "
            f"of {', '.join(f'{claim} ({version})' for claim, version in wrong)}; make them again"
        )
    if len({result["dataset"] for result in results}) > 1:
        raise SamebitsError("claims: the results are of different data; delete and make them again")
    by_key = {(result["claim"], result["tensorflow"]): result for result in results}
    return [[by_key[claim, version] for version in versions] for claim in judge.CLAIMS]


def render(claims: list[list[dict[str, Any]]]) -> str:
    """The page. Whatever was measured is escaped."""
    return templates.template(TEMPLATE, {}).render(
        claims=claims,
        results=[result for results in claims for result in results],
        article=(judge.PROGRAMS / "article.py").read_text(encoding="utf-8"),
        samples=judge.SAMPLES,
    )


def main() -> int:
    """Collect, write the page."""
    options = parser(__doc__, "output", several=["claim"]).parse_args()
    claims = collect([canonical.read_json(path) for path in options.claim])
    files.write_bytes(options.output, render(claims).encode("utf-8"))
    return 0


if __name__ == "__main__":
    errors.run(main)
