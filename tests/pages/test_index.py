"""The index of a sweep: what certificates say, as a page and as a table."""

import csv
import hashlib
import io
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

import certificates
from in_process import stage
from samebits.errors import SamebitsError
from samebits.formats import canonical
from samebits.pages import index
from sweeps import certified, with_accuracy, write_index, write_sweep


def made(folder: Path, *contents: Any) -> tuple[str, list[dict[str, str]]]:
    """Page and table of a sweep with these certificates."""
    page = write_index(folder, *contents)
    table = page.with_name("index.csv").read_bytes().decode("utf-8")
    return page.read_text(encoding="utf-8"), list(csv.DictReader(io.StringIO(table, newline="")))


def run(sweep: Path) -> "subprocess.CompletedProcess[str]":
    """index.py by its flags."""
    page, table = (sweep.with_name(f"index.{kind}") for kind in ("html", "csv"))
    return stage("index", "--sweep", sweep, "--page", page, "--table", table)


def test_each_row_is_what_its_certificate_says(tmp_path: Path) -> None:
    contents = [certified(kind, seed=i) for i, kind in enumerate(certificates.KINDS)]
    page, rows = made(tmp_path, *contents)
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
    page, (row,) = made(tmp_path, certified(kind, seed=1))
    assert (row["divergence run"], row["divergence step"]) == ("replica", "17")
    assert row["divergence tensors"] == "dense/kernel"
    assert "The runs first differ at step 17 (epoch 1), in dense/kernel." in page


def test_a_spread_is_over_seeds_of_experiments_that_are_otherwise_the_same(tmp_path: Path) -> None:
    contents = [with_accuracy(a, seed=i) for i, a in enumerate((0.5, 0.9, 0.6))]
    contents += [with_accuracy(0.1, seed=1, trace="off")]
    page, rows = made(tmp_path, *contents)
    spread = [[row[f"{what} over seeds"] for what in ("number", "minimum", "median", "maximum")]
              for row in rows]  # fmt: skip
    assert spread == [["3", "0.5", "0.6", "0.9"]] * 3 + [[""] * 4]
    assert re.search(r"0\.5000.*0\.6000.*0\.9000", page, re.DOTALL)


@pytest.mark.parametrize(
    ("kinds", "style", "headline"),
    [
        (["Reproducible"], "good", "Reproducible"),
        (["Reproducible"] * 3, "good", "All 3 reproducible"),
        (["Reproducible", "Not reproducible", "Inconclusive"], "bad", "1 of 3 not reproducible"),
        (["Inconclusive", "Reproducible"], "open", "1 of 2 inconclusive"),
    ],
)
def test_the_headline_is_the_worst_verdict_and_how_many_have_it(
    tmp_path: Path, kinds: list[str], style: str, headline: str
) -> None:
    page, _ = made(tmp_path, *(certified(kind, seed=i) for i, kind in enumerate(kinds)))
    assert f'<header class="{style}">' in page
    assert f"<h1>{headline}</h1>" in page


def test_the_grid_has_a_row_for_each_setting_and_a_field_for_each_seed(tmp_path: Path) -> None:
    contents = [certified(seed=seed, trace=trace) for trace in ("step", "off") for seed in (1, 2)]
    write_index(tmp_path, *contents[:3], certified("Not reproducible", seed=2, trace="off"),
                keys=("seed", "trace"))  # fmt: skip
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    rows = re.findall(r'<th scope="row">(trace=.*)</th>\n<td><ul class="seeds">(.*)</ul>', page)
    fields = [(of, re.findall(r">(\d) .*?hidden\"> ([A-Z ]+)<", found)) for of, found in rows]
    assert fields == [
        ("trace=step", [("1", "REPRODUCIBLE"), ("2", "REPRODUCIBLE")]),
        ("trace=off", [("1", "REPRODUCIBLE"), ("2", "NOT REPRODUCIBLE")]),
    ]
    assert '<ul class="seeds">' not in made(tmp_path / "other", *contents[::2])[0]


def test_a_metric_that_is_not_a_number_is_counted_and_not_drawn(tmp_path: Path) -> None:
    nan = {"float64": "7ff8000000000000"}
    contents = [with_accuracy(0.5, seed=0), with_accuracy(0.7, seed=1), certified(seed=2)]
    contents[2]["report"]["histories"]["control"]["metrics"] = {"accuracy": [nan]}
    page, rows = made(tmp_path, *contents)
    assert [row["last accuracy"] for row in rows] == ["0.5", "0.7", "nan"]
    assert rows[0]["number over seeds"] == "2"
    assert "and 1 not finite" in page


def test_the_table_is_rfc_4180_and_the_same_each_time(tmp_path: Path) -> None:
    contents = certified(seed=1), certified(seed=2)
    page, table = write_index(tmp_path, *contents), tmp_path / "index.csv"
    first = page.read_bytes(), table.read_bytes()
    lines = table.read_bytes().split(b"\r\n")
    assert len(lines) == 4
    assert lines[-1] == b""
    assert b"\n" not in table.read_bytes().replace(b"\r\n", b"")
    assert lines[1].startswith(b'"seed=1,0",1,REPRODUCIBLE,SIGNED,')
    write_index(tmp_path, *contents)
    assert first == (page.read_bytes(), table.read_bytes())


def test_an_unsigned_certificate_is_marked(tmp_path: Path) -> None:
    page, rows = made(tmp_path, certified(seed=1), certified(seed=2, signed=False))
    assert [row["signature"] for row in rows] == ["SIGNED", "UNSIGNED"]
    assert "<title>UNSIGNED" in page
    assert "1 of 2 certificates" in page
    assert "UNSIGNED" not in made(tmp_path / "other", certified(seed=1))[0]


def test_the_stage_writes_the_same_page(tmp_path: Path) -> None:
    done = run(write_sweep(tmp_path, certified(seed=1), certified(seed=2, signed=False)))
    assert (done.stdout, done.stderr) == ("", "")
    assert (tmp_path / "index.html").read_bytes() == write_index(
        tmp_path, certified(seed=1), certified(seed=2, signed=False)
    ).read_bytes()


FAULTS = ("missing", "damaged", "another experiment", "no certificate")


def spoil(sweep: Path, fault: str) -> None:
    """Damage the second certificate of a sweep."""
    path = sweep.parent / "seed=2,1" / "certificate.json"
    if fault == "missing":
        path.unlink()
    elif fault == "damaged":
        path.write_bytes(path.read_bytes()[:-20])
    else:
        other = certified(seed=3) if fault == "another experiment" else {"format": "x"}
        canonical.write_json(path, other)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_certificate_is_an_error(tmp_path: Path, fault: str) -> None:
    sweep = write_sweep(tmp_path, certified(seed=1), certified(seed=2))
    spoil(sweep, fault)
    with pytest.raises(SamebitsError, match=r"seed=2,1/certificate\.json"):
        index.read(sweep)


def test_an_error_leaves_no_output(tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path, certified(seed=1), certified(seed=2))
    spoil(sweep, "missing")
    done = run(sweep)
    assert done.returncode == 1
    assert "seed=2,1/certificate.json" in done.stderr
    assert "Traceback" not in done.stderr
    assert not sweep.with_name("index.html").exists()
    assert not sweep.with_name("index.csv").exists()


FORMULAS = ("=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1+1", "\r=1+1", "\n=1+1", " =1+1", "\uff1d1+1")


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_of_the_table_is_a_formula(text: str) -> None:
    """In a value, in a name of a tensor or metric, and in a swept key; numbers stay numbers."""
    row = index.Row(
        name="a", sha256="1" * 64, digest="2" * 64, verdict="REPRODUCIBLE", signature="SIGNED",
        swept={text: text}, group=None, seed=None, metrics={text: -0.5},
        divergence={"run": text, "step": -1, "epoch": None, "tensors": [text]},
        depends_on=(text,), runs=2, seconds=1.5,
    )  # fmt: skip
    table = index.render_table([row], [text]).decode("utf-8")
    cells = [cell for line in csv.reader(io.StringIO(table, newline="")) for cell in line]
    assert not [cell for cell in cells if cell.startswith(FORMULA) and cell not in ("-0.5", "-1")]
    assert {"-0.5", "-1", f"'{text}"} <= set(cells)


FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", " ", "\uff1d")
