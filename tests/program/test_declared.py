"""What a program read beside its project and its inputs."""

from pathlib import Path
from typing import Any

import pytest

from samebits.errors import SamebitsError
from samebits.observation import executed
from samebits.program.declared import require_declared, undeclared

# Of a child process under a shifted clock.
SHARED = "/dev/shm"  # noqa: S108
LAUNCHERS = (f"{SHARED}/faketime_shm_7", f"{SHARED}/sem.faketime_sem_7", "/x/samebits-run-y/l.so")


def test_what_lies_outside_is_undeclared_unless_an_input_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executed, "_HOME", "/home/me/")
    read = [
        {"path": path, "sha256": "0"}
        for path in ("own.csv", "data/x.csv", "/big/a", "/big/b", "~/c", "~/d", "../e", *LAUNCHERS)
    ]
    declared = ["data/x.csv", "/big/a", "/home/me/d"]
    assert undeclared(read, declared, tmp_path) == ["../e", "/big/b", "~/c"]


@pytest.mark.parametrize(
    ("found", "pinned", "said"),
    [
        ([], True, None),
        (["/big/b", "~/c"], True, "\n/big/b\n~/c\ndeclare these"),
        ([], False, "\nhttps://x/y.npz\ndeclare these"),
    ],
)
def test_strict_refuses_what_nothing_declares_or_pins(
    found: list[str], pinned: bool, said: str | None
) -> None:
    program: dict[str, Any] = {"undeclared": found}
    program["fetched"] = [{"url": "https://x/y.npz", "pinned": pinned}]
    if said is None:
        require_declared(program)
        return
    with pytest.raises(SamebitsError) as error:
        require_declared(program)
    assert said in str(error.value)
