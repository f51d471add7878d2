"""The bench: what its figures are, and that nothing is dropped that could not be measured."""

import ast
import html
import json
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import bench_page
import paired
import pytest
import slurm
from paired import Line

import bench
import bench_factory
import loopback
from pipeline import ROOT

MEASUREMENT = f"""
'''A title.

How it is measured.
'''
import sys
sys.path.append({str(ROOT / "bench")!r})
import paired
def lines(folder, pairs):
    yield paired.figure("first", "s", [1.0] * pairs)
    {{rest}}
paired.main(lines, pairs=3)
"""


def measurement(folder: Path, name: str, rest: str = "") -> Path:
    path = folder / f"{name}.py"
    path.write_text(MEASUREMENT.format(rest=rest))
    return path


# --- figures -------------------------------------------------------------------------------------


def test_a_figure_is_the_median_with_the_least_and_the_most() -> None:
    assert paired.figure("x", "s", [3, 1, 10]) == Line("x", "s", 3, 1, 10, pairs=3)
    assert paired.figure("x", "s", [4, 1, 3, 2]).median == 2.5


def test_a_ratio_is_taken_round_by_round() -> None:
    """The machine is half as fast in the second round and a quarter as fast in the third."""
    line = paired.ratio("x", [3, 6, 12.6], [2, 4, 8])
    assert (line.median, line.least, line.most) == (1.5, 1.5, 1.575)
    assert line.unit == paired.RATIO
    with pytest.raises(ValueError, match="shorter"):
        paired.ratio("x", [1, 2], [1])


@pytest.mark.parametrize(
    ("values", "goal", "met"),
    [([1.5], 1.5, True), ([1.51], 1.5, False), ([1, 1, 9], 1.5, True), ([1.5], None, None)],
)
def test_a_goal_is_met_by_a_median_of_at_most_that(
    values: list[float], goal: float | None, met: bool | None
) -> None:
    assert paired.figure("x", "s", values, goal).met is met


def test_a_goal_that_was_not_measured_is_neither_met_nor_not() -> None:
    line = paired.skipped("x", "no Slurm", goal=20.0)
    assert line.met is None
    assert "no Slurm" in paired.shown(line)


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.674, "0.67"), (-0.02, "-0.02"), (31.26, "31.3"), (192.4, "192"), (4007, "4,007")],
)
def test_a_figure_has_as_many_digits_as_it_bears(value: float, said: str) -> None:
    assert paired.digits(value) == said


# --- runs ----------------------------------------------------------------------------------------


def test_runs_take_turns_and_so_does_who_begins() -> None:
    order: list[str] = []

    def run(name: str) -> int:
        order.append(name)
        return len(order)

    runs = {name: partial(run, name) for name in "ab"}
    assert paired.in_turn(runs, 3) == {"a": [1, 4, 5], "b": [2, 3, 6]}
    assert "".join(order) == "abbaab"


def test_a_round_that_warms_is_not_counted() -> None:
    count = iter(range(9))
    assert paired.in_turn({"a": lambda: next(count)}, 2, warm=True) == {"a": [1, 2]}


@pytest.mark.process
def test_the_cost_of_a_command_is_that_of_all_its_processes() -> None:
    busy = "import time; end = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}], check=True)"
    assert paired.measure([sys.executable, "-c", nested]).cpu >= 0.3


@pytest.mark.process
def test_a_command_that_fails_is_an_error_with_what_it_said() -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        paired.measure([sys.executable, "-c", "print('why'); raise SystemExit(3)"])
    assert (caught.value.returncode, caught.value.output) == (3, b"why\n")


# --- measurements --------------------------------------------------------------------------------


@pytest.mark.process
def test_a_measurement_gives_its_figures_in_as_many_rounds_as_are_asked_for(tmp_path: Path) -> None:
    part = bench.measured(measurement(tmp_path, "good"), tmp_path, [])
    assert (part.name, part.title, part.how) == ("good", "A title.", "How it is measured.")
    assert part.lines == (Line("first", "s", 1, 1, 1, pairs=3),)
    assert part.failure is None
    (line,) = bench.measured(tmp_path / "good.py", tmp_path, ["--pairs", "5"]).lines
    assert line.pairs == 5


@pytest.mark.process
def test_a_measurement_that_fails_is_told_and_keeps_what_it_had(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    part = bench.measured(measurement(tmp_path, "bad", "raise OSError('why')"), tmp_path, [])
    assert [line.what for line in part.lines] == ["first"]
    assert part.failure == "OSError: why"
    assert "FAILED: OSError: why" in capsys.readouterr().out


@pytest.mark.process
@pytest.mark.parametrize("program", ["", "raise SystemExit(1)", "import os\nos.abort()"])
def test_a_measurement_that_measures_nothing_has_failed(tmp_path: Path, program: str) -> None:
    (tmp_path / "nothing.py").write_text(f"'''A title.'''\n{program}")
    part = bench.measured(tmp_path / "nothing.py", tmp_path, [])
    assert part.lines == ()
    assert part.failure


@pytest.mark.process
def test_figures_of_an_earlier_measurement_are_not_those_of_one_that_fails(tmp_path: Path) -> None:
    bench.measured(measurement(tmp_path, "same"), tmp_path, [])
    (tmp_path / "same.py").write_text("raise OSError('why')")
    assert bench.measured(tmp_path / "same.py", tmp_path, []).lines == ()


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, *flags: str) -> int:
    """bench.py with the measurements of a folder."""
    monkeypatch.setattr(bench, "HERE", folder)
    monkeypatch.setattr(bench, "MEASUREMENTS", ("good", "bad", "absent"))
    monkeypatch.setattr(sys, "argv", ["bench.py", "--output", str(folder / "out"), *flags])
    return bench.main()


@pytest.mark.process
def test_one_that_fails_is_shown_and_decides_the_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measurement(tmp_path, "bad", "raise OSError('why')")
    measurement(tmp_path, "good")
    assert run(tmp_path, monkeypatch) == 1
    assert "FAILED: bad" in capsys.readouterr().out.splitlines()[-2]
    made = json.loads((tmp_path / "out/bench.json").read_bytes())
    assert [(p["name"], p["failure"]) for p in made["parts"]] == [
        ("good", None), ("bad", "OSError: why"),
    ]  # fmt: skip
    assert "OSError: why" in (tmp_path / "out/bench.html").read_text()
    assert run(tmp_path, monkeypatch, "--only", "good") == 0


@pytest.mark.parametrize("flags", [["--only", "good,bed"], ["--only", ","], ["--pairs", "0"]])
def test_a_wrong_name_or_number_stops_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str]
) -> None:
    measurement(tmp_path, "good")
    with pytest.raises(SystemExit):
        run(tmp_path, monkeypatch, *flags)
    assert not (tmp_path / "out").exists()


def test_each_measurement_is_a_program_that_says_what_it_measures() -> None:
    assert {"plain", "tracing", "determinism", "dag", "slurm", "resume"} <= set(bench.there())
    for name in bench.there():
        said = ast.get_docstring(ast.parse((ROOT / f"bench/{name}.py").read_text()))
        title, _, how = (said or "").partition("\n\n")
        assert title.endswith(".")
        assert how.endswith(".")


def test_without_a_cluster_its_figures_are_there_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def install() -> None:
        raise loopback.NoClusterError("Slurm's daemons need root")

    monkeypatch.setattr(loopback, "install", install)
    monkeypatch.setattr(slurm, "_answers", lambda: False)
    lines = list(slurm.lines(tmp_path, 1))
    assert [(line.median, line.reason) for line in lines] == [
        (None, "no Slurm: Slurm's daemons need root")
    ] * 2
    assert [line.goal for line in lines] == [None, 20.0]


# --- the page ------------------------------------------------------------------------------------


def text_of(page: str) -> str:
    body = page.partition("<body>")[2]
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def test_the_page_has_every_figure_goal_and_failure() -> None:
    said = text_of(bench_page.render(bench_factory.bench()))
    for line in (
        "the plain script: time 20.0 s 19.0 to 21.0 3",
        "certificate: time 0.68 × 0.65 to 0.70 2 ≤ 0.50 ✗ not met",
        "a sweep: CPU time 1.43 × 1.40 to 1.45 2 ≤ 1.50 ✓ met",
        "jobs on Slurm: longer no Slurm: the plain script ≤ 20.0 s ? not known",
        "failed OSError: the plain script",
        "1 of 3 goals are met; not met: certificate: time; not measured here: 1; FAILED: dag.",
    ):
        assert line in said, said


def test_the_page_loads_nothing_and_escapes_what_it_quotes() -> None:
    page = bench_page.render(bench_factory.bench("<script>alert(1)</script>"))
    assert "<script" not in page
    assert not re.search(r"\b(src|href)=|url\(|@import", page)
