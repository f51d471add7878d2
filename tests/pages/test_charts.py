"""Any numbers can be drawn, and the badge says what the certificate says."""

import re
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.image import SVGImageSnapshotExtension

from certificates import divergence
from samebits.pages import charts
from samebits.pages.charts import BASE, HEIGHT, LEFT, RIGHT, TOP, growth

# --- curves of metrics ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        [],
        [1.0],
        [float("nan")],
        [1.0, 1.0],
        [0.0, -0.0],
        [1e308, -1e308],
        [5e-324, 0.0],
        [1.0, float("inf"), float("-inf"), 2.0, 3.0],
        [float(i) for i in range(1000)],
    ],
)
def test_any_history_can_be_drawn(values: Any) -> None:
    (panel,) = charts.curves({"control": {"loss": values}, "replica": {"loss": values}})
    assert len(panel.lines) == 2
    places = [tick.at for tick in panel.up] + [y for line in panel.lines for _, y in line.dots]
    assert all(-1 <= place <= charts.HEIGHT + 1 for place in places)
    assert len(panel.up) <= 12


def test_an_epoch_without_a_number_breaks_the_line_and_is_marked() -> None:
    values = [1.0, 2.0, float("nan"), 3.0, 4.0]
    (line,) = charts.curves({"control": {"loss": values}})[0].lines
    assert len(line.segments) == 2
    assert [gap.text for gap in line.gaps] == ["NaN"]
    assert line.gaps[0].at == charts.Axis(1, 5, charts.LEFT, charts.RIGHT).at(3)


# --- differences ---------------------------------------------------------------------------------

CURVES: dict[str, list[int | None]] = {
    "equal": [0, 0, 0],
    "one ULP": [0, 1, 1],
    "huge": [0, 1, 2**64 - 1],
    "not finite": [None, None, None],
    "a gap": [0, None, 4],
    "nothing": [],
    "one snapshot": [3],
}


@pytest.mark.parametrize("ulp", CURVES.values(), ids=CURVES)
def test_any_divergence_can_be_drawn(ulp: list[int | None]) -> None:
    curve = {"steps": [0, 50, 100][: len(ulp)], "ulp": ulp}
    curves = [curve | {"name": f"tensor {i}"} for i in range(12)]
    picture = growth(divergence(loss_curve=curve, curves=curves))
    points = [point for line in picture.lines for point in line.dots]
    assert all(LEFT <= x <= RIGHT and TOP <= y <= BASE for x, y in points)
    labels = [line.label for line in picture.lines if line.label]
    heights = sorted(y for _, y in labels)
    assert all(after - before > 10 for before, after in pairwise(heights))
    assert all(0 < height < HEIGHT for height in heights)
    assert len(picture.up) <= 8


def test_equal_bits_are_on_the_baseline_and_one_ulp_is_above() -> None:
    curve = {"name": "t", "steps": [0, 1, 2], "ulp": [0, 1, 2]}
    _, line = growth(divergence(curves=[curve])).lines
    heights = [y for _, y in line.dots]
    assert heights[0] == BASE > heights[1] > heights[2]


def test_what_was_sampled_is_points_but_where_it_is_not_finite() -> None:
    curve = {"name": "t", "steps": [0, 1, 2, 3, 4], "ulp": [1, 2, None, 3, None]}
    _, line = growth(divergence(curves=[curve])).lines
    assert (len(line.dots), line.last) == (3, None)
    assert charts.marks(line).count("M") == 3


def test_neighboring_tensors_have_points_of_other_shapes_or_sizes() -> None:
    curves = [{"name": f"t{i}", "steps": [0], "ulp": [0]} for i in range(3)]
    paths = [charts.marks(line, charts.KEY) for line in growth(divergence(curves=curves)).lines]
    assert "v" in paths[1]
    assert "h0" in paths[2]  # the style sheet gives each position its caps and width


def test_lines_are_told_apart_without_color() -> None:
    curves = [{"name": f"t{i}", "steps": [0], "ulp": [0]} for i in range(20)]
    kinds = [line.kind for line in growth(divergence(curves=curves)).lines]
    assert kinds == ["loss", *"ABCDEFGHIJKL"]  # no more than these are drawn


def test_without_a_tensor_there_is_the_loss_and_no_mark() -> None:
    picture = growth(divergence(curves=[], step=None))
    (loss,) = picture.lines
    assert picture.mark is None
    assert loss.dots


def test_the_mark_is_at_the_first_step_and_begins_where_the_runs_were_equal() -> None:
    picture = growth(divergence(step=2250, after=1125))
    assert picture.mark == pytest.approx((LEFT + RIGHT) / 2)
    assert picture.since == pytest.approx((3 * LEFT + RIGHT) / 4)
    assert growth(divergence(after=None)).since == LEFT


# --- badge -------------------------------------------------------------------------------------

VERDICTS = (
    *("REPRODUCIBLE", "EQUAL WITHIN TOLERANCE", "NOT REPRODUCIBLE"),
    *("UNSUPPORTED", "INCONCLUSIVE"),
)
SIGNATURES = ("SIGNED", "UNSIGNED")


def certificate(verdict: str, signature: str = "SIGNED", runs: int = 2) -> Any:
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
def test_the_badge_looks_as_it_did(
    verdict: str, signature: str, snapshot: SnapshotAssertion
) -> None:
    svg = charts.badge(certificate(verdict, signature))
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


@pytest.mark.parametrize("verdict", VERDICTS)
def test_it_says_verdict_runs_date_and_that_it_is_unsigned_to_eyes_and_screen_readers(
    verdict: str,
) -> None:
    words = f"{verdict} · 2 runs · 2026-11-23"
    for signature, more in (("SIGNED", []), ("UNSIGNED", ["UNSIGNED"])):
        svg = charts.badge(certificate(verdict, signature))
        spoken = " · ".join([words, *more])
        assert drawn(svg) == ["samebits", words, *more]
        assert f"<title>samebits: {spoken}</title>" in svg
        assert f'role="img" aria-label="samebits: {spoken}"' in svg
        assert ("UNSIGNED" in svg) == bool(more)


@pytest.mark.parametrize(("runs", "said"), [(0, "0 runs"), (1, "1 run"), (31, "31 runs")])
def test_runs_are_counted(runs: int, said: str) -> None:
    assert f" · {said} · " in drawn(charts.badge(certificate("INCONCLUSIVE", runs=runs)))[1]


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "a\"b'c&d", "bell\a\0\nline", "日本"]
)
def test_any_name_gives_well_formed_xml_without_markup_of_its_own(name: str) -> None:
    content = certificate("REPRODUCIBLE", "UNSIGNED")
    content["report"]["experiment"]["name"] = name
    root = ElementTree.fromstring(charts.badge(content))  # noqa: S314 - made above
    kinds = {element.tag.partition("}")[2] for element in root.iter()}
    assert kinds == {"svg", "title", "desc", "rect", "text"}


def test_it_loads_nothing_and_what_it_draws_fits() -> None:
    for verdict in VERDICTS:
        svg = charts.badge(certificate(verdict, "UNSIGNED", 1234))
        assert re.findall(r"\w+://[^\"]*|url\(|href|style=", svg) == ["http://www.w3.org/2000/svg"]
        root = ElementTree.fromstring(svg)  # noqa: S314 - made above
        width, right = float(root.attrib["width"]), 0.0
        for element in root:
            if "textLength" in element.attrib:
                right = float(element.attrib["x"]) + float(element.attrib["textLength"])
        assert 0 < right < width


def contrast(one: str, other: str) -> float:
    """WCAG 2.2's contrast ratio of two colors."""

    def luminance(color: str) -> float:
        parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("verdict", VERDICTS)
def test_its_text_can_be_read_and_its_edge_be_seen_on_light_and_dark(verdict: str) -> None:
    svg = charts.badge(certificate(verdict, "UNSIGNED"))
    fills = re.findall(r'<rect x="[\d.]+" [^>]*fill="(#\w+)"', svg)
    inks = re.findall(r'<text [^>]*fill="(#\w+)"', svg)
    assert all(contrast(*pair) >= 4.5 for pair in zip(fills, inks, strict=True))
    (edge,) = re.findall(r'stroke="(#\w+)"', svg)
    assert min(contrast(edge, "#ffffff"), contrast(edge, "#000000")) >= 3
