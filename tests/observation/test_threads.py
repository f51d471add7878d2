"""Python threads are named, stalls make their races show, and no other program notices."""

import json

import pytest

from pipeline import ROOT, Workspace, command, skip_without

PROGRAM = ROOT / "tests/observation/threads_program.py"
OF_A_POOL = "concurrent.futures.thread._worker"


@pytest.mark.parametrize(
    "framework",
    ["tf2.21", *(pytest.param(name, marks=pytest.mark.slow) for name in ("tf2.8", "tf2.1"))],
)
def test_threads_race_when_they_are_stalled_and_a_program_without_any_keeps_its_bits(
    workspace: Workspace, framework: str
) -> None:
    skip_without("3.11" if framework == "tf2.21" else "3.7")
    variables = {"TF_CPP_MIN_LOG_LEVEL": "3"}
    python = workspace.python(f"train-{framework}")
    said = command(python, "-s", PROGRAM, cwd=ROOT, variables=variables).stdout
    found = json.loads(said.splitlines()[-1])
    plain, *stalled = found["alone"]
    assert all(plain == other for other in stalled)
    assert (plain["threads"], plain["observed"]) == ([], None)
    names = {
        "started": "__main__.started.<locals>.work",
        "pooled": OF_A_POOL,
        "called_by_tensorflow": "tf.py_function",
    }
    for scenario, name in names.items():
        plain, *stalled = found[scenario]
        assert [told["threads"] for told in (plain, *stalled)] == [[name]] * 5
        observed = [told["observed"] for told in (plain, *stalled)]
        assert observed == ["as they came", *["stalled"] * 4]
        # The same numbers, handed out in another order: in most tries, since a race is a race.
        assert {told["generators"]["NumPy"] for told in stalled} == {plain["generators"]["NumPy"]}
        assert {told["drawn"] for told in stalled} != {plain["drawn"]}
    before, after = found["one draw"]
    assert {name for name in before if before[name] != after[name]} == {"NumPy"}
