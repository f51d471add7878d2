"""The certificate's page in a real browser: it loads nothing, complains of nothing, and fits."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import browser
import certificates
from browser import Browser
from samebits.pages import certificate

pytestmark = pytest.mark.skipif(
    browser.executable() is None, reason=f"none of {', '.join(browser.NAMES)} is installed"
)
NARROW, WIDE = 400, 1200
PAPER = 182 / 25.4 * 96, 269 / 25.4 * 96  # A4 without its margins, in CSS pixels
HOSTILE = "<img src=http://example.invalid/x onerror=alert(1)>" + "W" * 300

# What sticks out of the page, or in a picture out of the picture.
CUT_OFF = """
[...document.querySelectorAll("svg, svg text, table, pre, dl")].filter(element => {
  const own = element.getBoundingClientRect(), picture = element.ownerSVGElement
  const box = (picture || document.documentElement).getBoundingClientRect()
  return own.left < box.left - 1 || own.right > box.right + 1
    || picture && (own.top < box.top - 1 || own.bottom > box.bottom + 1)
}).map(element => element.outerHTML.slice(0, 300))
"""
# Pictures that a page break may go through.
TORN = f"""
[...document.querySelectorAll("figure, .artefact")].filter(element =>
  getComputedStyle(element).breakInside != "avoid"
  || element.getBoundingClientRect().height > {PAPER[1]}
).map(element => element.innerText)
"""


def issue(folder: Path, kind: str, text: str = "", signed: bool = True, replays: int = 0) -> Path:
    """The page of a certificate of some kind, which may quote a text throughout."""
    report = certificates.KINDS[kind]()
    made = certificates.certificate(report, signed, certificates.replays(replays))
    path = folder / "certificate.html"
    html = certificate.render(certificates.quoting(text, made) if text else made)
    path.write_text(html, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    path = browser.executable()
    assert path
    with browser.running(path, tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.mark.parametrize("text", ["", HOSTILE], ids=["sound", "hostile"])
@pytest.mark.parametrize("width", [NARROW, WIDE])
@pytest.mark.parametrize("kind", certificates.KINDS)
def test_the_page_loads_nothing_and_fits(
    chromium: Browser, tmp_path: Path, kind: str, width: int, text: str
) -> None:
    path = issue(tmp_path, kind, text, replays=3)
    scheme = "dark" if text else "light"
    visit = chromium.visit(path, width, scheme, ask=CUT_OFF)
    assert visit.requests == [path.as_uri()]
    assert visit.errors == []
    assert visit.scroll_width <= width
    assert visit.answer == []
    assert kind.partition(",")[0] in visit.text
    assert text in visit.text  # shown as text


@pytest.mark.parametrize("kind", certificates.KINDS)
def test_nothing_is_cut_off_on_paper(chromium: Browser, tmp_path: Path, kind: str) -> None:
    path = issue(tmp_path, kind, replays=3)
    width = round(PAPER[0])
    visit = chromium.visit(path, width, media="print", ask=f"[...{CUT_OFF.strip()}, ...{TORN}]")
    assert visit.scroll_width <= width
    assert visit.answer == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", certificates.KINDS)
def test_what_is_said_can_be_read(
    chromium: Browser, tmp_path: Path, kind: str, scheme: str
) -> None:
    for signed in (True, False):
        path = issue(tmp_path, kind, signed=signed, replays=3)
        assert chromium.visit(path, WIDE, scheme, ask=browser.FAINT).answer == []


@pytest.mark.parametrize("replays", [0, 1, 3])
@pytest.mark.parametrize("width", [390, 768])
def test_an_unsigned_page_fits_and_says_so_first(
    chromium: Browser, tmp_path: Path, width: int, replays: int
) -> None:
    path = issue(tmp_path, "Reproducible", signed=False, replays=replays)
    top = 'document.querySelector(".unsigned").getBoundingClientRect().bottom'
    verdict = 'document.querySelector("h1").getBoundingClientRect().top'
    visit = chromium.visit(path, width, ask=f"[{top} < {verdict}, document.title, {CUT_OFF}]")
    first, title, cut_off = visit.answer
    assert first
    assert title.startswith("UNSIGNED")
    assert visit.scroll_width <= width
    assert cut_off == []


def test_a_click_selects_a_whole_command(chromium: Browser, tmp_path: Path) -> None:
    how = """[...document.querySelectorAll(".command")].map(e => getComputedStyle(e).userSelect)"""
    found = chromium.visit(issue(tmp_path, "Reproducible"), WIDE, ask=how).answer
    assert set(found) == {"all"}


def _spoilt(folder: Path, markup: str) -> Path:
    path = issue(folder, "Reproducible")
    path.write_text(path.read_text(encoding="utf-8").replace("</footer>", markup + "</footer>"))
    return path


def test_something_loaded_from_elsewhere_is_seen(chromium: Browser, tmp_path: Path) -> None:
    path = _spoilt(tmp_path, '<img src="http://example.invalid/pixel.png">')
    visit = chromium.visit(path, WIDE)
    assert visit.requests != [path.as_uri()] or visit.errors  # the policy forbids it, and says so


def test_a_script_is_refused_by_the_policy(chromium: Browser, tmp_path: Path) -> None:
    visit = chromium.visit(_spoilt(tmp_path, "<script>document.body.innerText=''</script>"), WIDE)
    assert visit.errors
    assert "Reproducible" in visit.text


def test_a_page_that_does_not_fit_is_seen(chromium: Browser, tmp_path: Path) -> None:
    path = _spoilt(tmp_path, f'<div style="width: {2 * NARROW}px">wide</div>')
    assert chromium.visit(path, NARROW).scroll_width > NARROW


def test_what_is_cut_off_or_torn_is_seen(chromium: Browser, tmp_path: Path) -> None:
    picture = '<svg viewBox="0 0 9 9" width="9"><text x="8" y="8">cut off</text></svg>'
    path = _spoilt(tmp_path, f'{picture}<figure style="height: 2000px">torn</figure>')
    assert len(chromium.visit(path, WIDE, ask=CUT_OFF).answer) == 1
    assert chromium.visit(path, WIDE, media="print", ask=TORN).answer == ["torn"]


def test_what_is_faint_is_seen(chromium: Browser, tmp_path: Path) -> None:
    path = _spoilt(tmp_path, '<p style="color: #888">faint</p>')
    assert [text for text, _ in chromium.visit(path, WIDE, ask=browser.FAINT).answer] == ["faint"]
