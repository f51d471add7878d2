"""The page says what a certificate says, of any kind, and can draw any divergence."""

import html
import json
import re
from itertools import pairwise
from typing import Any

import pytest

import certificates
from certificates import KINDS, TENSORS, Certificate, divergence
from samebits import canonical, compared, divergence_drawing, evidence, page
from samebits.divergence_drawing import BASE, HEIGHT, LEFT, RIGHT, TOP, WIDTH, growth, histogram

HOSTILE = "<script>alert(1)</script>"
SECTIONS = ("compared", "parting", "differences", "varied", "pins", "seen", "curves", "why")
SHOWN = {
    "Reproducible": {"compared", "varied", "seen", "curves"},
    "Reproducible, exhaustive": {"compared", "parting", "varied", "pins", "seen", "curves"},
    "Equal within tolerance": set(SECTIONS) - {"pins"},
    "Not reproducible": set(SECTIONS),
    "Unsupported": set(),
    "Inconclusive": {"compared", "seen", "curves"},
}


def text_of(markup: str) -> str:
    """What a reader reads, in one line."""
    body = markup.partition("<body")[2]
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


@pytest.mark.parametrize("kind", KINDS)
class TestEveryKind:
    """What holds for the page of every certificate."""

    def test_it_is_a_certificate_and_its_sections_are_there(self, kind: str) -> None:
        content = KINDS[kind]()
        evidence.refuse_invalid(content)
        found = re.findall(r'<h2 id="(\w+)"', page.render(content))
        assert {section for section in SECTIONS if section in found} == SHOWN[kind]

    def test_the_order_of_keys_does_not_matter(self, kind: str) -> None:
        content = KINDS[kind]()
        again = json.loads(canonical.dumps(content))
        assert page.render(again) == page.render(content)

    def test_whatever_it_quotes_is_escaped(self, kind: str) -> None:
        text = page.render(certificates.quoting(HOSTILE, KINDS[kind]()))
        assert "<script" not in text
        assert text.count(html.escape(HOSTILE)) == text.count("alert(") > 8

    def test_it_can_be_read_out(self, kind: str) -> None:
        """Headers have a scope, pictures a name, and what is referred to exists once."""
        text = page.render(KINDS[kind]())
        assert all("scope=" in header for header in re.findall(r"<th\b[^>]*>", text))
        assert all(
            re.search(r"aria-(hidden|label|labelledby)=", picture)
            for picture in re.findall(r"<svg\b[^>]*>", text)
        )
        ids = re.findall(r'\bid="([^"]+)"', text)
        assert len(ids) == len(set(ids))
        for names in re.findall(r'aria-labelledby="([^"]+)"', text):
            assert set(names.split()) <= set(ids)


# --- the first screen ------------------------------------------------------------------------


def standing(content: Certificate) -> dict[str, str]:
    """The lines under the verdict."""
    first_screen = page.render(content).partition('<dl class="summary">')[0]
    lines = re.findall(r"<div><dt>(.*?)</dt><dd>(.*?)</dd></div>", first_screen)
    return {html.unescape(what): html.unescape(value) for what, value in lines}


def test_the_first_screen_says_what_the_bits_depend_on() -> None:
    content = certificates.dependent()
    lines = standing(content)
    assert lines["Depends on"] == "number of CPUs, CPU"
    assert lines["Repeatable"] == "yes, under identical conditions"
    assert lines["Not tried"] == "clock, order of directory entries"
    for repeatable, cause in (
        (True, "nothing that was varied alone"),
        (False, "something that changes by itself from run to run"),
        (None, "not known"),
    ):
        content["scope"] |= {"depends_on": [], "repeatable": repeatable}
        assert standing(content)["Depends on"] == cause
    assert standing(content)["Repeatable"] == "not tried"


def test_the_first_screen_says_which_pins_the_result_needs() -> None:
    lines = standing(certificates.exhaustive())
    needed = "intra-op threads, oneDNN, oneDNN ISA, TensorFlow seed"
    assert lines["Only with these pinned"] == needed
    assert "CPU (Haswell)" in lines["Did not matter"]


def test_a_result_with_nothing_varied_says_so() -> None:
    content = certificates.reproducible()
    content["scope"]["variations"] = []
    assert standing(content)["Varied"].startswith("nothing")


def test_the_tolerance_and_the_largest_difference_are_named() -> None:
    lines = standing(certificates.within_tolerance())
    assert lines["Largest difference"] == "2.4e-07; 3 ULP in weights and optimizer state"
    assert lines["Asked for"] == "at most 1e-06 and 4 ULP"


# --- what was varied and compared --------------------------------------------------------------


def test_variations_are_listed_together_and_alone() -> None:
    text = text_of(page.render(certificates.dependent()))
    together, alone = text.partition("All at once, in replica: ✗ different bits")[2].split(
        "Alone, each in a run of its own"
    )
    assert "locale C.UTF-8 C together" in together
    assert alone.startswith(" nothing: identical conditions again ✓ same bits")
    assert "number of CPUs with-cpus 2 1 ✗ different bits" in alone
    assert "clock with-clock not shifted – ○ not tried faketime is not installed" in alone
    assert "UnicodeDecodeError: cannot decode byte" in alone


def test_a_difference_says_nothing_when_nothing_repeats() -> None:
    content = certificates.dependent()
    content["scope"]["repeatable"] = False
    assert "says nothing about its variation" in page.render(content)


def test_pins_say_what_they_were_lifted_to() -> None:
    content = certificates.exhaustive()
    settings = content["records"]["runs"]["without-isa"]["settings"]
    next(s for s in settings if s["name"] == "oneDNN ISA")["effective"] = "SSE41"
    text = text_of(page.render(content))
    assert "oneDNN ISA without-isa AVX2 SSE41 ◆ needed" in text
    assert "hash seed without-hash_seed 0 0 ◇ not needed" in text


def test_of_many_runs_that_differ_only_a_few_are_shown_in_full() -> None:
    content = certificates.exhaustive()
    for comparison in content["comparisons"]:
        for run in comparison["runs"]:
            run |= {"identical": False, "divergence": divergence()}
    runs = compared.compared(content)
    assert [run.run for run in compared.shown(runs)] == ["again", "with-time_zone", "replica"]
    drawn, listed = compared.partings(runs)
    assert len(drawn) == compared.MOST_SHOWN
    not_tried = 2
    assert len(drawn) + len(listed) == len(runs) - not_tried


def test_runs_that_are_not_shown_are_counted() -> None:
    runs = compared.compared(certificates.dependent())
    said = compared.counted(runs)
    assert "17 identical, 1 failed, 2 not tried, 4 different with a pin lifted" in said


def test_of_many_differences_the_first_are_shown_and_the_rest_counted() -> None:
    content = certificates.within_tolerance()
    weights = content["comparisons"][0]["runs"][0]["artefacts"][1]
    weights["differences"] *= compared.MOST_DIFFERENCES
    shown, more = compared.differences(compared.compared(content))
    assert len(shown) == compared.MOST_DIFFERENCES
    assert more == len(weights["differences"]) - compared.MOST_DIFFERENCES


def test_a_pin_that_was_not_in_effect_is_named_with_its_run() -> None:
    content = certificates.inconclusive()
    content["records"]["runs"]["control"]["settings"][0]["effective"] = 5
    assert "✗ not as pinned in control" in page.render(content)


def test_what_a_comparison_would_have_seen() -> None:
    text = text_of(page.render(certificates.exhaustive()))
    assert "✓ Yes. A short training with seed 2, in the process of replica, differs" in text
    assert "Trace subset dense/kernel, element [6] ✓ found" in text
    blind = text_of(page.render(certificates.inconclusive()))
    assert "Final weights control dense/bias, element [2] ✗ not found" in blind


# --- where they part -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "The first difference comes with step 17, in epoch 1, in dense/kernel."),
        ({}, "The loss shows it only later, at step 18."),
        ({"loss_step": 16, "loss_first": True}, "The loss differs before any tensor does, at step"),
        ({"loss_step": 17}, "The loss differs at the same step, not before."),
        ({"loss_step": None}, "No loss differs."),
        ({"step": 0, "epoch": None}, "They differ before the first step, in dense/kernel."),
        ({"step": None, "tensors": []}, "The weights agree wherever the traces have a row."),
        ({"step": None}, "The loss differs, first at step 18."),
        ({"tensors": [*TENSORS, "x", "y"]}, "dense/kernel, dense/bias and 2 more."),
        ({"every": "epoch"}, "it may be up to an epoch earlier"),
        ({"every": "off"}, "No trace was kept"),
    ],
)
def test_where_runs_part_in_a_sentence(changes: Any, said: str) -> None:
    content = certificates.within_tolerance()
    content["comparisons"][0]["runs"][0]["divergence"] = divergence(**changes)
    assert said in text_of(page.render(content))


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
    points = [
        tuple(map(float, point.split(",")))
        for line in picture.curves
        for segment in line.segments
        for point in segment.split()
    ]
    points += [point for line in picture.curves for point in line.dots]
    assert all(LEFT <= x <= WIDTH - RIGHT and TOP <= y <= BASE for x, y in points)
    labels = [line.label for line in picture.curves if line.label]
    heights = sorted(y for _, y in labels)
    assert all(after - before > 10 for before, after in pairwise(heights))
    assert all(0 < height < HEIGHT for height in heights)
    assert len(picture.up) <= 8


def test_equal_bits_are_on_the_baseline_and_one_ulp_is_above() -> None:
    curve = {"name": "t", "steps": [0, 1, 2], "ulp": [0, 1, 2]}
    (line,) = growth(divergence(curves=[curve])).tensors
    heights = [float(point.split(",")[1]) for point in line.segments[0].split()]
    assert heights[0] == BASE > heights[1] > heights[2]


def test_what_is_not_finite_is_a_gap_and_what_stands_alone_a_dot() -> None:
    curve = {"name": "t", "steps": [0, 1, 2, 3, 4], "ulp": [1, 2, None, 3, None]}
    (line,) = growth(divergence(curves=[curve])).tensors
    assert (len(line.segments), len(line.dots), line.last) == (1, 1, None)


def test_lines_are_told_apart_without_colour() -> None:
    curves = [{"name": f"t{i}", "steps": [0], "ulp": [0]} for i in range(20)]
    letters = [line.letter for line in growth(divergence(curves=curves)).tensors]
    assert letters == list("ABCDEFGHIJKL")  # no more than these are drawn


def test_without_a_tensor_there_is_the_loss_and_no_mark() -> None:
    picture = growth(divergence(curves=[], step=None))
    assert picture.tensors == ()
    assert picture.mark is None
    assert picture.loss.segments


def test_the_mark_is_at_the_first_step() -> None:
    middle = growth(divergence(step=2250)).mark
    assert middle == pytest.approx((LEFT + WIDTH - RIGHT) / 2)


@pytest.mark.parametrize(
    "counts", [[], [0], [7], [0, 1], [5, 0, 3], [10**9, *range(64)]], ids=lambda c: str(len(c))
)
def test_any_histogram_can_be_drawn(counts: list[int]) -> None:
    picture = histogram([{"name": "t", "counts": counts}, {"name": "u", "counts": counts[:1]}])
    assert picture.total == sum(counts) + sum(counts[:1])
    for column in picture.columns:
        assert column.x >= LEFT
        assert column.x + column.width <= WIDTH - RIGHT + 1
        assert column.height == pytest.approx(BASE - column.y, abs=0.01)
        assert (column.height > 0) == (column.count > 0)
    assert len(picture.across) <= 8


def test_columns_say_which_differences_they_count() -> None:
    texts = [column.text for column in histogram([{"counts": [1, 1, 1, 1]}]).columns]
    assert texts == ["equal", "1 ULP", "2 to 3 ULP", "4 to 7 ULP"]
    assert divergence_drawing.histogram([]).total == 0
