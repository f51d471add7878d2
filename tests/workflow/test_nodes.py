"""Nodes for runs that must not meet."""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samebits.experiment.protocol import NODE, PlannedRun
from samebits.workflow import nodes

RUNS = [PlannedRun("control"), PlannedRun("replica", vary=(NODE,))]
PAIRS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("12345678")), max_size=20)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sinfo that prints what the file beside it says."""
    sinfo = tmp_path / "sinfo"
    sinfo.write_text(f"#!/bin/sh\ncat '{tmp_path}/nodes'\n")
    sinfo.chmod(sinfo.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    nodes._nodes.cache_clear()
    return tmp_path / "nodes"


@pytest.mark.process
def test_two_runs_keep_off_each_others_nodes(cluster: Path) -> None:
    cluster.write_text("main n1\nmain n2\nmain n3\nmain n4\n")
    assert nodes.apart(RUNS, RUNS[0]) == "--exclude=n2,n4"
    assert nodes.apart(RUNS, RUNS[1]) == "--exclude=n1,n3"


def test_runs_that_may_share_a_node_are_kept_off_none(cluster: Path) -> None:
    cluster.write_text("main n1\nmain n2\n")
    assert nodes.apart(RUNS[:1], RUNS[0]) is None


@pytest.mark.process
def test_one_node_leaves_no_choice(cluster: Path) -> None:
    cluster.write_text("main n1\nother n1\n")
    assert nodes.apart(RUNS, RUNS[1]) is None


@pytest.mark.process
def test_without_slurm_there_are_no_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    nodes._nodes.cache_clear()
    assert nodes.apart(RUNS, RUNS[1]) is None


@given(PAIRS)
def test_each_node_is_on_one_side(pairs: list[tuple[str, str]]) -> None:
    one, other = nodes.split(set(pairs))
    assert sorted(one + other) == sorted({node for _, node in pairs})


@given(PAIRS)
def test_the_smallest_partition_of_two_nodes_is_on_both_sides(pairs: list[tuple[str, str]]) -> None:
    members = [{n for p, n in pairs if p == name} for name in "abc"]
    smallest = min((m for m in members if len(m) > 1), key=len, default=None)
    if smallest and all(len(m) != 1 for m in members):
        one, other = nodes.split(set(pairs))
        if sum(len(m) == len(smallest) for m in members) == 1:
            assert smallest & set(one) and smallest & set(other)
