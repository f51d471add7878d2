"""The certificate's page in a real browser: it loads nothing, complains of nothing, and fits."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import browser
import factories
from browser import Browser
from samebits import certificate, evidence, page

pytestmark = pytest.mark.skipif(
    browser.executable() is None, reason=f"none of {', '.join(browser.NAMES)} is installed"
)
NARROW, WIDE = 400, 1200
HOSTILE = "<img src=http://example.invalid/x onerror=alert(1)>" + "W" * 300

DIFFERENT: dict[str, Any] = {"metrics": factories.HISTORY | {"loss": [0.1, math.nan, math.inf]}}
ISSUE = certificate.Issue(
    name=HOSTILE[:200],
    issued="2026-11-23T12:00:00Z",
    source=certificate.Source("c" * 40, True),
    how_to_repeat=(f"snakemake --cores all --config overrides={HOSTILE!r}",),
)


def issue(
    folder: Path, *, unsupported: bool = False, missing: bool = False, **replica: Any
) -> Path:
    """The page of a certificate over made-up evidence."""
    space = factories.workspace(folder, **replica)
    if unsupported:
        _refuse_both(space)
    if missing:
        (space.runs[1] / "history.json").unlink()
    paths = evidence.Paths(
        space.config, space.lock, space.load_record, space.runs, space.comparison
    )
    path = folder / "certificate.html"
    path.write_text(page.render(certificate.build(evidence.read(paths), ISSUE)), encoding="utf-8")
    return path


def _refuse_both(space: factories.Workspace) -> None:
    record = evidence.read_json(space.runs[0] / "record.json", "record", "trainRecord").content
    for run in space.runs:
        factories.write_unsupported_run(run, record["experiment"], record["dataset"])
    space.compare()


CASES: dict[str, dict[str, Any]] = {
    "Reproducible": {},
    "Not reproducible": DIFFERENT,
    "Unsupported": {"unsupported": True},
    "Inconclusive": {"missing": True},
}


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    path = browser.executable()
    assert path
    with browser.running(path, tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [NARROW, WIDE])
@pytest.mark.parametrize("headline", CASES)
def test_the_page_loads_nothing_and_fits(
    chromium: Browser, tmp_path: Path, headline: str, width: int, scheme: str
) -> None:
    path = issue(tmp_path, **CASES[headline])
    visit = chromium.visit(path, width, scheme)
    assert visit.requests == [path.as_uri()]
    assert visit.errors == []
    assert visit.scroll_width <= width
    assert headline in visit.text
    assert HOSTILE[:40] in visit.text  # shown as text


def _spoilt(folder: Path, markup: str) -> Path:
    path = issue(folder)
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
