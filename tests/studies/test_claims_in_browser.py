"""The page of the article's claims in a real browser: it loads nothing, complains not, and fits."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import browser
import claim_factory
from browser import Browser
from samebits import claims, claims_page

pytestmark = pytest.mark.skipif(
    browser.executable() is None, reason=f"none of {', '.join(browser.NAMES)} is installed"
)
NARROW, WIDE = 400, 1200
PAPER = round(182 / 25.4 * 96)  # the width of A4 without its margins, in CSS pixels
HOSTILE = "<img src=http://example.invalid/x onerror=alert(1)>" + "W" * 300

# What is wider than the page, or than the box that it is in.
CUT_OFF = """
[...document.querySelectorAll("table, pre, dl, li")].filter(element =>
  element.getBoundingClientRect().right > document.documentElement.clientWidth + 1
  || element.scrollWidth > element.clientWidth + 1 && element.tagName == "PRE"
).map(element => element.outerHTML.slice(0, 300))
"""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    path = browser.executable()
    assert path
    with browser.running(path, tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "claims.html"
    collected = claims_page.collect(claim_factory.results(HOSTILE))
    path.write_text(claims_page.render(collected), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("width", "media"), [(NARROW, "screen"), (WIDE, "screen"), (PAPER, "print")]
)
def test_the_page_loads_nothing_and_fits(
    chromium: Browser, page: Path, width: int, media: str
) -> None:
    visit = chromium.visit(page, width, media=media, ask=CUT_OFF)
    assert visit.requests == [page.as_uri()]
    assert visit.errors == []
    assert visit.scroll_width <= width
    assert visit.answer == []
    assert HOSTILE in visit.text  # shown as text
    for word in (claims.YES, claims.NO, claims.NOT_APPLICABLE, claims.NOT_SHOWN):
        assert word in visit.text


def test_every_sentence_leads_to_its_evidence(chromium: Browser, page: Path) -> None:
    dead = """[...document.querySelectorAll("a")].filter(a => !document.querySelector(
      `[id="${a.hash.slice(1)}"]`)).map(a => a.innerText)"""
    links = '[...document.querySelectorAll("a")].map(a => a.innerText)'
    visit = chromium.visit(page, WIDE, ask=f"[{links}, {dead}]")
    assert visit.answer == [[claim.sentence for claim in claims.CLAIMS], []]


def test_paper_is_not_coloured(chromium: Browser, page: Path) -> None:
    colour = "getComputedStyle(document.body).backgroundColor"
    assert chromium.visit(page, PAPER, media="print", ask=colour).answer == "rgba(0, 0, 0, 0)"
