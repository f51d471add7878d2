"""All pages in a real browser: they load nothing, complain of nothing, fit, and can be read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bench_page
import pytest

import bench_factory
import certificates
from browser import CUT_OFF, FAINT, HOSTILE, PAPER, Browser, View, axe
from samebits.pages import certificate
from sweeps import certified, with_accuracy, write_index

NARROW, TABLET, WIDE = 390, 768, 1200
A4, LETTER = (8.27, 11.69), (8.5, 11.0)  # inches

OPENED = 'document.querySelectorAll("details").forEach(element => element.open = true)'

# Pictures that a page break may go through.
TORN = f"""
[...document.querySelectorAll("figure, .artifact")].filter(element =>
  getComputedStyle(element).breakInside != "avoid"
  || element.getBoundingClientRect().height > {PAPER[1]}
).map(element => element.innerText)
"""


def issue(folder: Path, kind: str, text: str = "", signed: bool = True, replays: int = 3) -> Path:
    """The page of a certificate of some kind, which may quote a text throughout."""
    report = certificates.KINDS[kind]()
    made = certificates.certificate(report, signed, certificates.replays(replays))
    path = folder / "certificate.html"
    html = certificate.render(certificates.quoting(text, made) if text else made)
    path.write_text(html, encoding="utf-8")
    return path


def index(folder: Path, text: str = "") -> Path:
    """The index of a sweep with every kind of certificate, and of one experiment's seeds."""
    contents = [certified(kind, signed=i > 0, seed=i) for i, kind in enumerate(certificates.KINDS)]
    contents += [certified(seed=50 + i) for i in range(3)]
    if text:
        contents = [certificates.quoting(text, content) for content in contents]
        for content in contents:
            content["report"]["experiment"]["config"]["trace"] = text
    return write_index(folder, *contents, keys=("seed", "trace"))


def bench(folder: Path, text: str = "") -> Path:
    path = folder / "bench.html"
    path.write_text(bench_page.render(bench_factory.bench(text or "paired")), encoding="utf-8")
    return path


def of_kind(kind: str) -> Callable[[Path, str], Path]:
    return lambda folder, text: issue(folder, kind, text, signed=not text)


PAGES = {kind: of_kind(kind) for kind in certificates.KINDS} | {"index": index, "bench": bench}


FIRST_SCREEN = 900  # px: the height of a window
SCREENS = View(NARROW), View(NARROW, "dark"), View(TABLET, "dark"), View(WIDE), View(WIDE, "dark")
PRINTED = View(round(PAPER[0]), media="print")


@pytest.mark.parametrize("text", ["", HOSTILE], ids=["sound", "hostile"])
@pytest.mark.parametrize("page", PAGES)
def test_a_page_loads_nothing_fits_and_can_be_read_on_screen_and_on_paper(
    chromium: Browser, tmp_path: Path, page: str, text: str
) -> None:
    path, ask = PAGES[page](tmp_path, text), f"({OPENED}, [{CUT_OFF}, {FAINT}, {TORN}])"
    *screens, printed = chromium.visits(path, (*SCREENS, PRINTED), ask)
    for visit in (*screens, printed):
        assert (visit.requests, visit.errors) == ([path.as_uri()], [])
        assert visit.scroll_width <= visit.width
        cut_off, faint, _ = visit.answer
        assert cut_off == []
        assert faint == [] or visit is printed
        assert page.partition(",")[0] in visit.text
        assert text[:50] in visit.text  # shown as text
    assert text or printed.answer[2] == []


@pytest.mark.parametrize("page", PAGES)
def test_a_page_breaks_no_rule_of_accessibility(
    chromium: Browser, tmp_path: Path, page: str
) -> None:
    """Contrast, which takes the longest, in one view: in all views FAINT looks at it."""
    path = PAGES[page](tmp_path, "")
    assert chromium.visit(path, View(NARROW, "dark"), axe()).answer == []
    assert chromium.visit(path, View(WIDE), axe(without="color-contrast")).answer == []


@pytest.mark.parametrize("replays", [0, 1])
@pytest.mark.parametrize("width", [NARROW, TABLET])
def test_an_unsigned_page_says_so_first(
    chromium: Browser, tmp_path: Path, width: int, replays: int
) -> None:
    path = issue(tmp_path, "Reproducible", signed=False, replays=replays)
    tops = """[...document.querySelectorAll("h1 .unsigned, .index .warn, .signature")]
      .map(element => element.getBoundingClientRect().top)"""
    visit = chromium.visit(path, View(width), f"[...{tops}, document.title]")
    in_index, in_headline, signature, title = visit.answer
    assert in_index < in_headline < signature < FIRST_SCREEN
    assert title.startswith("UNSIGNED")


@pytest.mark.parametrize("paper", [A4, LETTER], ids=["A4", "Letter"])
@pytest.mark.parametrize("kind", certificates.KINDS)
def test_a_certificate_is_one_printed_page_and_annexes_that_are_open_follow(
    chromium: Browser, tmp_path: Path, kind: str, paper: tuple[float, float]
) -> None:
    path = issue(tmp_path, kind, replays=2)
    assert chromium.printed(path, paper) == 1
    if paper == A4:
        assert chromium.printed(path, paper, OPENED) > 5


def test_the_index_stays_in_view_and_opens_what_it_leads_to(
    chromium: Browser, tmp_path: Path
) -> None:
    follow = """(async () => {
      const found = []
      for (const link of document.querySelectorAll(".index a:not(:first-child)")) {
        link.click()
        await new Promise(done => setTimeout(done, 100))
        const annex = document.querySelector(link.hash).closest("details")
        const [top, bar] = [annex.querySelector("h2"), document.querySelector(".index")]
          .map(element => element.getBoundingClientRect())
        found.push(annex.open && bar.top == 0 && top.top >= bar.bottom && top.top < innerHeight)
      }
      return found
    })()"""
    for view in (View(NARROW), View(WIDE)):
        path = issue(tmp_path, "Not reproducible")
        assert chromium.visit(path, view, follow).answer == [True] * 5


def test_a_click_selects_a_whole_command(chromium: Browser, tmp_path: Path) -> None:
    how = """[...document.querySelectorAll(".command")].map(e => getComputedStyle(e).userSelect)"""
    found = chromium.visit(issue(tmp_path, "Reproducible"), View(WIDE), how).answer
    assert set(found) == {"all"}


def test_every_row_of_an_index_leads_to_its_certificates_page(
    chromium: Browser, tmp_path: Path
) -> None:
    links = '[...document.querySelectorAll("#rows a")].map(a => decodeURIComponent(a.href))'
    page = index(tmp_path)
    listed = json.loads(page.with_name("sweep.json").read_bytes())["combinations"]
    base = page.parent.as_uri()
    assert chromium.visit(page, View(WIDE), links).answer == [
        f"{base}/{c['name']}/certificate.html" for c in listed
    ]


def test_an_index_is_filtered_without_script_and_sorted_with_one(
    chromium: Browser, tmp_path: Path
) -> None:
    contents = [with_accuracy(a, seed=i) for i, a in enumerate((0.5, 0.9, 0.7, 0.8))]
    nan = {"float64": "7ff8000000000000"}
    contents[3]["report"]["histories"]["control"]["metrics"]["accuracy"] = [nan]
    contents[1]["report"]["verdict"] = "NOT REPRODUCIBLE"
    page = write_index(tmp_path, *contents)
    shown = """[...document.querySelectorAll("#rows > tr")].filter(row => row.checkVisibility())
      .map(row => row.cells[0].innerText)"""
    choose = """((label, text) => {
      const select = [...document.querySelectorAll(".bar label")].find(
        found => found.innerText.startsWith(label)).querySelector("select")
      select.value = [...select.options].find(option => option.text.startsWith(text)).value
      select.dispatchEvent(new Event("change"))
    })"""
    steps = ['"sort by", "accuracy"', '"verdict", "REPRO"', '"seed", "2"', '"seed", "all"']
    asks = ", ".join(f"({choose}({step}), {shown})" for step in steps)
    found = chromium.visit(page, View(WIDE), f"[{asks}]")
    others = ["seed=2", "seed=0", "seed=3"]  # the last has no number
    assert found.answer == [["seed=1", *others], others, ["seed=2"], others]
    assert found.errors == []


# --- what these tests would see ------------------------------------------------------------------


def spoiled(folder: Path, markup: str) -> Path:
    path = issue(folder, "Reproducible")
    path.write_text(path.read_text(encoding="utf-8").replace("</footer>", markup + "</footer>"))
    return path


def asked(chromium: Browser, folder: Path, markup: str, view: View, ask: str) -> Any:
    return chromium.visit(spoiled(folder, markup), view, ask).answer


def test_something_loaded_from_elsewhere_is_seen(chromium: Browser, tmp_path: Path) -> None:
    path = spoiled(tmp_path, '<img src="http://example.invalid/pixel.png">')
    visit = chromium.visit(path, View(WIDE))
    assert visit.requests != [path.as_uri()] or visit.errors  # the policy forbids it, and says so


def test_a_script_is_refused_by_the_policy(chromium: Browser, tmp_path: Path) -> None:
    visit = chromium.visit(
        spoiled(tmp_path, "<script>document.body.innerText=''</script>"), View(WIDE)
    )
    assert visit.errors
    assert "Reproducible" in visit.text


def test_a_page_that_does_not_fit_is_seen(chromium: Browser, tmp_path: Path) -> None:
    path = spoiled(tmp_path, f'<div style="width: {2 * NARROW}px">wide</div>')
    assert chromium.visit(path, View(NARROW)).scroll_width > NARROW


def test_pictures_that_are_cut_off_or_torn_are_seen(chromium: Browser, tmp_path: Path) -> None:
    picture = '<svg viewBox="0 0 9 9" width="9"><text x="8" y="8">cut off</text></svg>'
    markup = f'{picture}<figure style="height: 2000px">torn</figure>'
    assert len(asked(chromium, tmp_path, markup, View(WIDE), CUT_OFF)) == 1
    assert asked(chromium, tmp_path, markup, PRINTED, TORN) == ["torn"]


def test_a_picture_without_words_is_seen(chromium: Browser, tmp_path: Path) -> None:
    markup = '<svg role="img" viewBox="0 0 9 9" width="9"></svg>'
    ((rule, *_),) = asked(chromium, tmp_path, markup, View(WIDE), axe())
    assert rule == "svg-img-alt"


def test_faint_text_is_seen(chromium: Browser, tmp_path: Path) -> None:
    markup = '<p style="color: #888">faint</p>'
    assert [text for text, _ in asked(chromium, tmp_path, markup, View(WIDE), FAINT)] == ["faint"]
