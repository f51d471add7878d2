"""The page of the atlas in a real browser: it loads nothing, complains not, fits, can be read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import atlas_factory
import browser
from atlas.page import render
from atlas_factory import VERSIONS, elsewhere, op
from browser import Browser

pytestmark = pytest.mark.skipif(
    browser.executable() is None, reason=f"none of {', '.join(browser.NAMES)} is installed"
)
PHONE, DESKTOP = 390, 1280
PAPER = round(182 / 25.4 * 96)  # the width of A4 without its margins, in CSS pixels
HOSTILE = "<img src=http://example.invalid/x onerror=alert(1)>" + "W" * 300

# Opens every group; what a script adds to the page of a test is not bound by its policy.
OPENED = """document.querySelectorAll("details").forEach(element => element.open = true),"""
# What is wider than the page and does not scroll by itself.
CUT_OFF = """
[...document.querySelectorAll("table, dl, li, summary, p, .scroll")].filter(element =>
  !element.parentElement.closest(".scroll")
  && element.getBoundingClientRect().right > document.documentElement.clientWidth + 1
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


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    path = browser.executable()
    assert path
    with browser.running(path, tmp_path_factory.mktemp("profile")) as running:
        yield running


def page(folder: Path, atlas: dict[str, Any]) -> Path:
    path = folder / "atlas.html"
    path.write_text(render(atlas), encoding="utf-8")
    return path


def hostile() -> dict[str, Any]:
    """An atlas that names things as nobody should, and has every kind of cell."""
    differs = elsewhere(VERSIONS[1], 1, 1)
    bad = op(HOSTILE, HOSTILE, HOSTILE, group=HOSTILE, dtype=HOSTILE, different=differs)
    atlas = atlas_factory.atlas(*atlas_factory.few(), bad)
    atlas["machine"]["cpu"] = atlas["emulator"] = HOSTILE
    return atlas


@pytest.mark.parametrize(
    ("width", "media"), [(PHONE, "screen"), (DESKTOP, "screen"), (PAPER, "print")]
)
def test_the_page_loads_nothing_and_fits(
    chromium: Browser, tmp_path: Path, width: int, media: str
) -> None:
    path = page(tmp_path, hostile())
    ask = f"({OPENED} [document.documentElement.scrollWidth, {CUT_OFF}])"
    visit = chromium.visit(path, width, media=media, ask=ask)
    assert visit.requests == [path.as_uri()]
    assert visit.errors == []
    assert visit.scroll_width <= width
    scroll_width, cut_off = visit.answer
    assert scroll_width <= width
    assert cut_off == []
    assert HOSTILE in visit.text  # shown as text


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_names_and_heads_stay_in_sight_while_a_group_scrolls(
    chromium: Browser, tmp_path: Path, width: int
) -> None:
    path = page(tmp_path, atlas_factory.large())
    sideways, down, before, after = chromium.visit(path, width, ask=f"({OPENED} {STUCK})").answer
    assert (sideways, down) == (True, True)
    assert before == after


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_what_is_said_can_be_read(
    chromium: Browser, tmp_path: Path, width: int, scheme: str
) -> None:
    path = page(tmp_path, hostile())
    assert chromium.visit(path, width, scheme, ask=f"({OPENED} {browser.FAINT})").answer == []


def test_paper_is_not_coloured(chromium: Browser, tmp_path: Path) -> None:
    colour = "getComputedStyle(document.body).backgroundColor"
    visit = chromium.visit(page(tmp_path, hostile()), PAPER, media="print", ask=colour)
    assert visit.answer == "rgba(0, 0, 0, 0)"
