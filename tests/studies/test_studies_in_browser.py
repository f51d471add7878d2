"""The studies' pages in a real browser: they load nothing, report no error, fit, can be read."""

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

import atlas_factory
import test_claims
from atlas.page import render
from atlas_factory import VERSIONS, elsewhere, op
from browser import FAINT, HOSTILE, PAPER, Browser, View, axe
from claims import judge, page
from pipeline import ROOT
from samebits.formats import canonical

PHONE, DESKTOP, SHEET = 390, 1280, round(PAPER[0])

# Opens every group; what a script adds to the page of a test is not bound by its policy.
OPENED = """document.querySelectorAll("details").forEach(element => element.open = true),"""
# What is wider than the page, or than a box that does not scroll.
CUT_OFF = """
[...document.querySelectorAll("table, dl, li, summary, p, .scroll, pre")].filter(element =>
  !element.parentElement.closest(".scroll")
  && (element.getBoundingClientRect().right > document.documentElement.clientWidth + 1
    || element.tagName == "PRE" && element.scrollWidth > element.clientWidth + 1)
).map(element => element.outerHTML.slice(0, 300))
"""
# Scrolls a group to its end; then its head and its names have to be where they were.
STUCK = """
(() => {
  const box = [...document.querySelectorAll(".scroll")].pop()
  const places = () => {
    const frame = box.getBoundingClientRect()
    const head = box.querySelector("thead th").getBoundingClientRect()
    const name = [...box.querySelectorAll("tbody th")].pop().getBoundingClientRect()
    return [head.top - frame.top, head.left - frame.left, name.left - frame.left].map(Math.round)
  }
  const before = places()
  box.scrollTo(1e6, 1e6)
  return [box.scrollLeft > 0, box.scrollTop > 0, before, places()]
})()
"""


def _atlas() -> str:
    """An atlas that names things as nobody should, and has every kind of cell."""
    differs = elsewhere(VERSIONS[1], 1, 1)
    bad = op(HOSTILE, HOSTILE, HOSTILE, group=HOSTILE, dtype=HOSTILE, different=differs)
    atlas = atlas_factory.atlas(*atlas_factory.few(), bad)
    atlas["machine"]["cpu"] = atlas["emulator"] = HOSTILE
    return render(atlas)


def _claims() -> str:
    return page.render(page.collect(test_claims.results(HOSTILE)))


PAGES = {"atlas": _atlas, "claims": _claims}


@pytest.fixture(params=PAGES)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The page of a study, which quotes what is hostile."""
    write: Callable[[], str] = PAGES[request.param]
    made = tmp_path / "page.html"
    made.write_text(write(), encoding="utf-8")
    return made


@pytest.mark.parametrize(
    ("width", "media"), [(PHONE, "screen"), (DESKTOP, "screen"), (SHEET, "print")]
)
def test_a_page_loads_nothing_and_fits(
    chromium: Browser, path: Path, width: int, media: str
) -> None:
    visit = chromium.visit(path, View(width, media=media), f"({OPENED} {CUT_OFF})")
    assert visit.requests == [path.as_uri()]
    assert visit.errors == []
    assert visit.scroll_width <= width
    assert visit.answer == []
    assert HOSTILE in visit.text  # shown as text


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_what_is_said_can_be_read(chromium: Browser, path: Path, width: int, scheme: str) -> None:
    assert chromium.visit(path, View(width, scheme), f"({OPENED} {FAINT})").answer == []


def test_a_page_breaks_no_rule_of_accessibility(chromium: Browser, path: Path) -> None:
    for visit in chromium.visits(path, (View(PHONE, "dark"), View(DESKTOP)), axe()):
        assert visit.answer == []


def test_paper_is_not_colored(chromium: Browser, path: Path) -> None:
    color = "getComputedStyle(document.body).backgroundColor"
    assert chromium.visit(path, View(SHEET, media="print"), color).answer == "rgba(0, 0, 0, 0)"


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_names_and_heads_stay_in_sight_while_a_group_scrolls(
    chromium: Browser, tmp_path: Path, width: int
) -> None:
    made = tmp_path / "atlas.html"
    made.write_text(render(canonical.read_json(ROOT / "docs" / "atlas.json")), encoding="utf-8")
    sideways, down, before, after = chromium.visit(made, View(width), f"({OPENED} {STUCK})").answer
    assert (sideways, down) == (True, True)
    assert before == after


def test_every_sentence_leads_to_its_evidence(chromium: Browser, tmp_path: Path) -> None:
    made = tmp_path / "claims.html"
    made.write_text(_claims(), encoding="utf-8")
    dead = """[...document.querySelectorAll("a")].filter(a => !document.querySelector(
      `[id="${a.hash.slice(1)}"]`)).map(a => a.innerText)"""
    links = '[...document.querySelectorAll("a")].map(a => a.innerText)'
    said, nowhere = chromium.visit(made, View(DESKTOP), f"[{links}, {dead}]").answer
    programs = (judge.PROGRAMS / f"{claim}.py" for claim in judge.CLAIMS)
    trees = (ast.parse(program.read_bytes()) for program in programs)
    assert said == [" ".join(str(ast.get_docstring(tree)).split()) for tree in trees]
    assert nowhere == []
