"""The page of the bench in a real browser: it loads nothing, complains not, and fits."""

from pathlib import Path

import bench_page
import pytest

import bench_factory
import browser

HOSTILE = "<img src=http://example.invalid/x onerror=alert(1)>" + "W" * 300


@pytest.mark.skipif(
    browser.executable() is None, reason=f"none of {', '.join(browser.NAMES)} is installed"
)
def test_the_page_loads_nothing_and_fits(tmp_path: Path) -> None:
    path, executable = tmp_path / "bench.html", browser.executable()
    path.write_text(bench_page.render(bench_factory.bench(HOSTILE)), encoding="utf-8")
    assert executable
    with browser.running(executable, tmp_path / "profile") as chromium:
        for width, media in ((390, "screen"), (1280, "screen"), (688, "print")):
            visit = chromium.visit(path, width, media=media)
            assert visit.requests == [path.as_uri()]
            assert visit.errors == []
            assert visit.scroll_width <= width
            assert HOSTILE in visit.text  # shown as text
