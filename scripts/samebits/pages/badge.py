"""The certificate as a badge: its verdict, on how many runs, when, and whether anybody signed it.

A small SVG that draws the same on light and on dark and loads nothing. It says what the report
says and nothing more: it cannot be checked, the certificate can.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape, quoteattr

# The verdicts' colours on the page, on paper: white text has a contrast of at least 5.5 on each.
_COLOURS = {
    "REPRODUCIBLE": "#16653d",
    "EQUAL WITHIN TOLERANCE": "#14607a",
    "NOT REPRODUCIBLE": "#a3221f",
    "UNSUPPORTED": "#6b4b9a",
    "INCONCLUSIVE": "#87590a",
}
_LABEL, _UNSIGNED = ("#33373e", "#ffffff"), ("#ffffff", "#a3221f")  # background, text
_FRAME = "#8a8f98"  # a contrast of 3 on white and on black
_HEIGHT, _PADDING = 20, 7

# Advance widths of DejaVu Sans at 11 px, which are Verdana's; others are stretched to them.
_WIDTHS = {
    character: width
    for width, characters in (
        (3.2, "iI"), (3.5, " ·"), (4.0, "-"), (4.4, "tr"), (5.7, "s"), (6.1, "L"), (6.7, "PTae"),
        (7.5, "ABRVC"), (8.2, "HNU"), (8.5, "DG"), (8.7, "OQ"), (10.8, "mW"),
    )
    for character in characters
}  # fmt: skip
_WIDTH = 7.0  # of digits, and of what is not in the table


@dataclass(frozen=True)
class _Part:
    """One coloured piece of the badge."""

    text: str
    fill: str
    ink: str

    @property
    def length(self) -> float:
        return round(sum(_WIDTHS.get(character, _WIDTH) for character in self.text), 1)

    @property
    def width(self) -> float:
        return round(self.length + 2 * _PADDING, 1)


def render(certificate: Mapping[str, Any]) -> str:
    """The badge of a certificate, as SVG."""
    parts = list(_parts(certificate))
    width = round(sum(part.width for part in parts), 1)
    said = _one_line(": ".join([parts[0].text, " · ".join(part.text for part in parts[1:])]))
    name = _one_line(certificate["report"]["experiment"]["name"])
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{_HEIGHT}" '
            f'viewBox="0 0 {width} {_HEIGHT}" role="img" aria-label={quoteattr(said)}>',
            f"<title>{escape(said)}</title>",
            f"<desc>Experiment {escape(name)}. What was shown, under which conditions, is in its "
            "certificate; a badge proves nothing.</desc>",
            *_drawn(parts, 0),
            f'<rect x=".5" y=".5" width="{round(width - 1, 1)}" height="{_HEIGHT - 1}" '
            f'fill="none" stroke="{_FRAME}"/>',
            "</svg>\n",
        ]
    )


def _parts(certificate: Mapping[str, Any]) -> Iterator[_Part]:
    report = certificate["report"]
    verdict, runs = report["verdict"], report["scope"]["runs"]
    counted = f"{runs} run" if runs == 1 else f"{runs} runs"
    yield _Part("samebits", *_LABEL)
    yield _Part(f"{verdict} · {counted} · {report['issued'][:10]}", _COLOURS[verdict], "#ffffff")
    if certificate["signature"] == "UNSIGNED":
        yield _Part("UNSIGNED", *_UNSIGNED)


def _drawn(parts: list[_Part], x: float) -> Iterator[str]:
    for part in parts:
        yield f'<rect x="{x}" width="{part.width}" height="{_HEIGHT}" fill="{part.fill}"/>'
        yield (
            f'<text x="{round(x + _PADDING, 1)}" y="14" textLength="{part.length}" '
            f'font-family="Verdana, \'DejaVu Sans\', Geneva, sans-serif" font-size="11" '
            f'fill="{part.ink}">{escape(part.text)}</text>'
        )
        x = round(x + part.width, 1)


def _one_line(text: str) -> str:
    """Without the control characters that no XML may hold."""
    return "".join(character if character.isprintable() else " " for character in text)
