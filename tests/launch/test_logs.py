"""Why a script failed, from the end of its log."""

from pathlib import Path

import pytest

from samebits.launch import logs

NOISE = """\
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1796046204.246427   27386 port.cc:153] oneDNN custom operations are on.
I0000 00:00:1796046204.322331   27386 cpu_feature_guard.cc:227] This TensorFlow binary is optimized
To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow
2026-11-30 13:43:24.246427: I tensorflow/core/util/port.cc:153] oneDNN custom operations are on.
2026-11-30 13:43:24.246427: W tensorflow/core/framework/cpu_allocator_impl.cc:82] Allocation
"""
TRACEBACK = """\
Traceback (most recent call last):
  File "bad.py", line 13, in call
    \x1b[1mraise ValueError("no")\x1b[0m
ValueError: no
"""
HOOK = Path(logs.__file__).parents[1] / "program" / "calls.py"
FOLLOWED = TRACEBACK.replace(
    "  File", f'  File "{HOOK}", line 1, in called\n    method()\n    ^^^^^^\n  File', 1
)
BEGUN = "control: TensorFlow 2.21.0 imported in 7 s\n"
RAISED = TRACEBACK.replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines()
KILLED = "error: the script was ended by SIGKILL: most often for want of memory\n"


@pytest.mark.parametrize(
    ("log", "cause", "said"),
    [
        (BEGUN + "error: expected a model, got None\n", "expected a model, got None", []),
        (BEGUN + "error: a: other\nb: other\n", "a: other\nb: other", []),
        (
            BEGUN + TRACEBACK + "error: training failed with ValueError: no\n",
            "training failed with ValueError: no",
            RAISED,
        ),
        (BEGUN + TRACEBACK, "", RAISED),
        (BEGUN + FOLLOWED + "error: train.py: failed\n", "train.py: failed", RAISED),
        (BEGUN + "epoch 1\n" + KILLED, KILLED[7:-1], [BEGUN[:-1], "epoch 1"]),
        ("error: of a first try\n" + KILLED, KILLED[7:-1], ["error: of a first try"]),
        ("what it said\n\n", "", ["what it said"]),
        ("", "", []),
    ],
)
def test_the_cause_of_a_failure_and_the_lines_that_say_more(
    tmp_path: Path, log: str, cause: str, said: list[str]
) -> None:
    path = tmp_path / "log.txt"
    path.write_text(NOISE + log + NOISE)
    assert logs.explained(path) == (cause, said)


def test_of_a_long_log_the_end_is_shown_and_what_steers_a_terminal_is_not(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text("".join(f"line {n}\n" for n in range(5000)) + "\x1b]0;title\x07\n" + KILLED)
    said = logs.explained(path)[1]
    assert len(said) == logs.MOST_LINES and said[-2:] == ["line 4999", " ]0;title "]


def test_a_log_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    assert logs.explained(tmp_path / "none") == ("", [])
