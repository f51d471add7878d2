"""The badge says what the certificate says, to eyes and to screen readers, and loads nothing."""

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from samebits.pages import badge

GOLDEN = Path(__file__).parent / "golden"
VERDICTS = (
    *("REPRODUCIBLE", "EQUAL WITHIN TOLERANCE", "NOT REPRODUCIBLE"),
    *("UNSUPPORTED", "INCONCLUSIVE"),
)
SIGNATURES = ("SIGNED", "UNSIGNED")


def certificate(verdict: str, signature: str = "SIGNED", runs: int = 2) -> dict[str, Any]:
    """As much of a certificate as a badge needs."""
    report = {
        "verdict": verdict,
        "scope": {"runs": runs},
        "issued": "2026-11-23T12:00:00Z",
        "experiment": {"name": "default"},
    }
    return {"signature": signature, "report": report}


def drawn(svg: str) -> list[str]:
    """What is drawn as text, from left to right."""
    return re.findall(r"<text [^>]*>([^<]*)<", svg)


@pytest.mark.parametrize("signature", SIGNATURES)
@pytest.mark.parametrize("verdict", VERDICTS)
def test_the_badge_is_the_golden_one(verdict: str, signature: str, update_golden: bool) -> None:
    svg = badge.render(certificate(verdict, signature))
    name = f"{verdict}-{signature}".lower().replace(" ", "-")
    golden = GOLDEN / f"badge-{name}.svg"
    if update_golden:
        golden.write_text(svg, encoding="utf-8")
    assert svg == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("verdict", VERDICTS)
def test_it_says_verdict_runs_and_date_to_eyes_and_screen_readers(verdict: str) -> None:
    svg = badge.render(certificate(verdict))
    words = f"{verdict} · 2 runs · 2026-11-23"
    assert drawn(svg) == ["samebits", words]
    assert f"<title>samebits: {words}</title>" in svg
    assert f'role="img" aria-label="samebits: {words}"' in svg


@pytest.mark.parametrize("verdict", VERDICTS)
def test_an_unsigned_one_says_so_in_words(verdict: str) -> None:
    svg = badge.render(certificate(verdict, "UNSIGNED"))
    assert drawn(svg)[-1] == "UNSIGNED"
    assert "2026-11-23 · UNSIGNED</title>" in svg
    assert '2026-11-23 · UNSIGNED"' in svg
    assert "UNSIGNED" not in badge.render(certificate(verdict))


@pytest.mark.parametrize(("runs", "said"), [(0, "0 runs"), (1, "1 run"), (31, "31 runs")])
def test_runs_are_counted(runs: int, said: str) -> None:
    assert f" · {said} · " in drawn(badge.render(certificate("INCONCLUSIVE", runs=runs)))[1]


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "a\"b'c&d", "bell\a\0\nline", "日本"]
)
def test_any_name_gives_well_formed_xml_without_markup_of_its_own(name: str) -> None:
    content = certificate("REPRODUCIBLE", "UNSIGNED")
    content["report"]["experiment"]["name"] = name
    root = ElementTree.fromstring(badge.render(content))  # noqa: S314 - made above
    kinds = {element.tag.partition("}")[2] for element in root.iter()}
    assert kinds == {"svg", "title", "desc", "rect", "text"}


def test_it_loads_nothing_and_what_it_draws_fits() -> None:
    for verdict in VERDICTS:
        svg = badge.render(certificate(verdict, "UNSIGNED", 1234))
        assert re.findall(r"\w+://[^\"]*|url\(|href|style=", svg) == ["http://www.w3.org/2000/svg"]
        root = ElementTree.fromstring(svg)  # noqa: S314 - made above
        width, right = float(root.attrib["width"]), 0.0
        for element in root:
            if "textLength" in element.attrib:
                right = float(element.attrib["x"]) + float(element.attrib["textLength"])
        assert 0 < right < width


def contrast(one: str, other: str) -> float:
    """WCAG 2.2's contrast ratio of two colours."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("verdict", VERDICTS)
def test_its_text_can_be_read_and_its_edge_be_seen_on_light_and_dark(verdict: str) -> None:
    svg = badge.render(certificate(verdict, "UNSIGNED"))
    fills = re.findall(r'<rect x="[\d.]+" [^>]*fill="(#\w+)"', svg)
    inks = re.findall(r'<text [^>]*fill="(#\w+)"', svg)
    assert all(contrast(*pair) >= 4.5 for pair in zip(fills, inks, strict=True))
    (edge,) = re.findall(r'stroke="(#\w+)"', svg)
    assert min(contrast(edge, "#ffffff"), contrast(edge, "#000000")) >= 3
