"""index.py by its flags: what certificates say, as a page and as a table."""

import copy
import csv
import hashlib
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import browser
import certificates
from browser import Browser
from samebits.formats import canonical
from samebits.pages import index as index_page

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
HOSTILE = "<img src=http://example.invalid/x onerror=alert(1)>" + "W" * 300
WIDTHS = (390, 768, 1280)
PAPER = round(182 / 25.4 * 96)  # the width of A4 without its margins, in CSS pixels


def certificate(kind: str = "Reproducible", *, signed: bool = True, **config: Any) -> Any:
    """A certificate of some kind, of an experiment with these values."""
    report = copy.deepcopy(certificates.KINDS[kind]())
    report["experiment"]["config"] |= config
    report["experiment"]["digest"] = canonical.digest(report["experiment"]["config"])
    return certificates.certificate(report, signed)


def with_accuracy(accuracy: float, **config: Any) -> Any:
    made = certificate(**config)
    history = made["report"]["histories"]["control"]["metrics"]
    history.clear()
    history |= {"loss": [2.0, 1.0], "accuracy": [0.1, accuracy]}
    return made


def write(folder: Path, *made: Any, keys: tuple[str, ...] = ("seed",)) -> Path:
    """A sweep's folder with these certificates; returns the file that lists them."""
    listed = []
    for number, content in enumerate(made):
        name = f"seed={content['report']['experiment']['config']['seed']},{number}"
        canonical.write_json(folder / name / "certificate.json", content)
        listed.append(
            {
                "name": name,
                "digest": content["report"]["experiment"]["digest"],
                "certificate": f"{name}/certificate.json",
                "page": f"{name}/certificate.html",
            }
        )
    content = {"format": index_page.FORMAT, "name": "mine", "keys": keys, "combinations": listed}
    canonical.write_json(folder / "sweep.json", content)
    return folder / "sweep.json"


def index(sweep: Path) -> subprocess.CompletedProcess[str]:
    outputs = ["--page", sweep.with_name("index.html"), "--table", sweep.with_name("index.csv")]
    command = [sys.executable, SCRIPTS / "index.py", "--sweep", sweep, *outputs]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)


def made(sweep: Path) -> tuple[str, list[dict[str, str]]]:
    """Page and table of a sweep, when they could be made."""
    done = index(sweep)
    assert done.returncode == 0, done.stderr
    page = sweep.with_name("index.html").read_text(encoding="utf-8")
    table = sweep.with_name("index.csv").read_bytes().decode("utf-8")
    return page, list(csv.DictReader(io.StringIO(table, newline="")))


def test_each_row_is_what_its_certificate_says(tmp_path: Path) -> None:
    contents = [certificate(kind, seed=i) for i, kind in enumerate(certificates.KINDS)]
    page, rows = made(write(tmp_path, *contents))
    for row, content in zip(rows, contents, strict=True):
        report, path = content["report"], tmp_path / row["certificate"]
        assert row["verdict"] == report["verdict"]
        assert row["experiment sha256"] == report["experiment"]["digest"]
        assert row["certificate sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert int(row["runs"]) == len(report["records"]["runs"])
        assert row["verdict"] in page
        for cause in report["scope"]["depends_on"]:
            assert cause in row["depends on"]


def test_where_the_runs_diverge_is_told(tmp_path: Path) -> None:
    kind = next(k for k, make in certificates.KINDS.items() if make()["scope"]["depends_on"])
    page, (row,) = made(write(tmp_path, certificate(kind, seed=1)))
    assert (row["divergence run"], row["divergence step"]) == ("replica", "17")
    assert row["divergence tensors"] == "dense/kernel"
    assert "The runs first differ at step 17 (epoch 1), in dense/kernel." in page


def test_a_spread_is_over_seeds_of_experiments_that_are_otherwise_the_same(
    tmp_path: Path,
) -> None:
    contents = [with_accuracy(a, seed=i) for i, a in enumerate((0.5, 0.9, 0.6))]
    contents += [with_accuracy(0.1, seed=1, trace="off")]
    page, rows = made(write(tmp_path, *contents))
    spread = [[row[f"{what} over seeds"] for what in ("number", "minimum", "median", "maximum")]
              for row in rows]  # fmt: skip
    assert spread == [["3", "0.5", "0.6", "0.9"]] * 3 + [[""] * 4]
    assert re.search(r"0\.5000.*0\.6000.*0\.9000", page, re.DOTALL)


def test_a_metric_that_is_not_a_number_is_counted_and_not_drawn(tmp_path: Path) -> None:
    nan = {"float64": "7ff8000000000000"}
    contents = [with_accuracy(0.5, seed=0), with_accuracy(0.7, seed=1), certificate(seed=2)]
    contents[2]["report"]["histories"]["control"]["metrics"] = {"accuracy": [nan]}
    page, rows = made(write(tmp_path, *contents))
    assert [row["last accuracy"] for row in rows] == ["0.5", "0.7", "nan"]
    assert rows[0]["number over seeds"] == "2"
    assert "and 1 not finite" in page


def test_the_table_is_rfc_4180_and_the_same_each_time(tmp_path: Path) -> None:
    sweep = write(tmp_path, certificate(seed=1), certificate(seed=2))
    made(sweep)
    first = [sweep.with_name(name).read_bytes() for name in ("index.csv", "index.html")]
    lines = first[0].split(b"\r\n")
    assert len(lines) == 4
    assert lines[-1] == b""
    assert b"\n" not in first[0].replace(b"\r\n", b"")
    assert lines[1].startswith(b'"seed=1,0",1,REPRODUCIBLE,SIGNED,')
    made(sweep)
    assert first == [sweep.with_name(name).read_bytes() for name in ("index.csv", "index.html")]


def test_what_nobody_signed_is_marked(tmp_path: Path) -> None:
    sweep = write(tmp_path, certificate(seed=1), certificate(seed=2, signed=False))
    page, rows = made(sweep)
    assert [row["signature"] for row in rows] == ["SIGNED", "UNSIGNED"]
    assert "<title>UNSIGNED" in page
    assert "1 of 2 certificates" in page
    assert "1 UNSIGNED" in index(sweep).stdout
    other = write(tmp_path / "other", certificate(seed=1))
    assert "UNSIGNED" not in made(other)[0]


@pytest.mark.parametrize("fault", ["missing", "damaged", "another", "no certificate"])
def test_a_certificate_that_is_not_what_is_listed_is_an_error_and_leaves_nothing(
    tmp_path: Path, fault: str
) -> None:
    sweep = write(tmp_path, certificate(seed=1), certificate(seed=2))
    path = tmp_path / "seed=2,1" / "certificate.json"
    if fault == "missing":
        path.unlink()
    elif fault == "damaged":
        path.write_bytes(path.read_bytes()[:-20])
    else:
        canonical.write_json(path, certificate(seed=3) if fault == "another" else {"format": "x"})
    done = index(sweep)
    assert done.returncode == 1
    assert "seed=2,1/certificate.json" in done.stderr
    assert "Traceback" not in done.stderr
    assert not sweep.with_name("index.html").exists()
    assert not sweep.with_name("index.csv").exists()


# --- in a browser --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    path = browser.executable()
    if not path:
        pytest.skip(f"none of {', '.join(browser.NAMES)} is installed")
    with browser.running(path, tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    contents = [
        certificates.quoting(HOSTILE, certificate(kind, seed=i, signed=i > 0))
        for i, kind in enumerate(certificates.KINDS)
    ]
    contents += [certificate(seed=50 + i) for i in range(3)]
    for content in contents:
        content["report"]["experiment"]["config"]["trace"] = HOSTILE
    sweep = write(tmp_path_factory.mktemp("sweep"), *contents, keys=("seed", "trace"))
    made(sweep)
    return sweep.with_name("index.html")


@pytest.mark.parametrize(
    ("width", "media"), [*((width, "screen") for width in WIDTHS), (PAPER, "print")]
)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_loads_nothing_and_fits(
    chromium: Browser, page: Path, width: int, media: str, scheme: str
) -> None:
    cut_off = """[...document.querySelectorAll("table, td, tbody th, li, dl")].filter(element =>
      element.getBoundingClientRect().right > document.documentElement.clientWidth + 1
    ).map(element => element.outerHTML.slice(0, 300))"""
    visit = chromium.visit(page, width, scheme, media=media, ask=cut_off)
    assert visit.requests == [page.as_uri()]
    assert visit.errors == []
    assert visit.scroll_width <= width
    assert visit.answer == []
    assert HOSTILE[:40] in visit.text


def test_every_row_leads_to_its_certificates_page(chromium: Browser, page: Path) -> None:
    links = '[...document.querySelectorAll("tbody a")].map(a => decodeURI(a.href))'
    found = chromium.visit(page, 1280, ask=links).answer
    listed = json.loads(page.with_name("sweep.json").read_bytes())["combinations"]
    assert [link.replace("%3D", "=").replace("%2C", ",") for link in found] == [
        page.with_name(made["page"].split("/")[0]).joinpath("certificate.html").as_uri()
        .replace("%3D", "=").replace("%2C", ",")
        for made in listed
    ]  # fmt: skip
