"""Why attempts fail: those that end their process or hang are named, and the others go on."""

import faulthandler
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from atlas.attempts import refusals
from samebits.errors import SamebitsError


def fine() -> str:
    return ""


def refused() -> str:
    return "no kernel – none"


def exits() -> str:
    os._exit(3)


def hangs() -> str:
    time.sleep(60)
    return "too late"


def killed() -> str:
    faulthandler.disable()  # pytest's, in this process only: that it ends so is meant
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(60)
    return "too late"


def aborts() -> str:
    faulthandler.disable()
    os.abort()


ENDS = {
    exits: "it ends its process (exit code 3)",
    aborts: "it ends its process (SIGABRT)",
    killed: "it ends its process (SIGSEGV)",
}


def test_answers_come_in_order() -> None:
    assert refusals([fine, refused, fine]) == ["", "no kernel – none", ""]


def test_without_attempts_there_are_no_answers() -> None:
    assert refusals([]) == []


@pytest.mark.parametrize("ends", ENDS, ids=lambda ends: ends.__name__)
def test_what_ends_its_process_is_named_and_the_others_go_on(ends: Callable[[], str]) -> None:
    assert refusals([refused, ends, fine, refused]) == [refused(), ENDS[ends], "", refused()]


def test_one_after_the_other_may_end_its_process() -> None:
    assert refusals([aborts, exits, exits]) == [ENDS[aborts], ENDS[exits], ENDS[exits]]


def test_a_hang_is_named_and_the_others_go_on() -> None:
    assert refusals([fine, hangs, refused], longest=1) == [
        "",
        "it takes longer than 1 s",
        refused(),
    ]


def test_the_time_is_that_of_one_attempt() -> None:
    def slow() -> str:
        time.sleep(0.6)
        return ""

    assert refusals([slow, slow, slow], longest=1) == ["", "", ""]


def test_what_ends_its_process_once_by_chance_is_not_refused(tmp_path: Path) -> None:
    def by_chance() -> str:
        if not (tmp_path / "tried").exists():
            (tmp_path / "tried").touch()
            aborts()
        return ""

    assert refusals([fine, by_chance, refused]) == ["", "", refused()]


def test_an_attempt_that_raises_is_an_error_and_no_refusal(capfd: Any) -> None:
    def raises() -> str:
        raise AttributeError("a fault of the battery")

    with pytest.raises(SamebitsError, match="expected attempt 2 to answer, got an exception"):
        refusals([fine, raises, fine])
    assert "a fault of the battery" in capfd.readouterr().err


def test_no_attempt_changes_this_process() -> None:
    seen: list[str] = []

    def remembers() -> str:
        seen.append("here")
        return ""

    assert refusals([remembers]) == [""]
    assert seen == []
