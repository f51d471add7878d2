"""The environment variables that a program looks up are noted, with the answers unchanged."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import SCRIPTS

pytestmark = pytest.mark.process

# Stands for scripts/train.py: what it asks for itself is not the program's.
PROGRAM = """
import json, os, sys
sys.path[:0] = [sys.argv[1], sys.argv[2]]
os.environ.update(SET_BEFORE="1", SHELL="changed")  # as TensorFlow's import does
from samebits.observation import lookups
plain, same = dict(os.environ), os.environ
lookups.install()
assert os.environ is same and isinstance(os.environ, type(same))
import users
users.run()
found = {row["name"]: row["set"] for row in lookups.found()}
assert dict(os.environ) == plain | getattr(users, "CHANGED", {})
print(json.dumps(found))
"""
GIVEN = {"DEPTH": "2", "HOME": "/nonexistent", "PATH": "/usr/bin:/bin"}
CHANGED = {"SHELL": "/bin/sh"}


def looked_up(folder: Path, *lines: str, before: str = "") -> dict[str, bool]:
    """Name -> whether it was set, of what these lines of a user's function look up."""
    body = "".join(f"    {line}\n" for line in lines)
    (folder / "users.py").write_text(f"import os\n{before}\n\ndef run():\n{body}")
    command = [sys.executable, "-c", PROGRAM, str(SCRIPTS), str(folder)]
    done = subprocess.run(command, env=GIVEN | CHANGED, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("assert os.environ['DEPTH'] == '2'", {"DEPTH": True}),
        ("assert os.environ.get('WIDTH', 7) == 7", {"WIDTH": False}),
        ("assert os.getenv('WIDTH') is None", {"WIDTH": False}),
        ("assert 'WIDTH' not in os.environ", {"WIDTH": False}),
        ("assert os.environb[b'DEPTH'] == b'2'", {"DEPTH": True}),
        ("assert os.getenvb(b'WIDTH') is None", {"WIDTH": False}),
        ("assert os.path.expandvars('$DEPTH/x') == '2/x'", {"DEPTH": True}),
        ("assert os.path.expanduser('~') == '/nonexistent'", {"HOME": True}),
        ("assert [f() for f in [lambda: os.environ['DEPTH']]] == ['2']", {"DEPTH": True}),
        ("assert len(list(os.environ)) >= 3", {"*": True}),
        ("assert os.environ.copy()['DEPTH'] == '2'", {"*": True, **dict.fromkeys(GIVEN, True)}),
        ("assert len(os.environ) >= 3", {"*": True}),
        ("assert 'DEPTH' in repr(os.environ)", {"*": True}),
        ("exec('assert os.getenv(chr(65)) is None')", {"A": False}),
        ("assert os.environ.pop('WIDTH', 7) == 7", {"WIDTH": False}),
        ("import keras_like; keras_like.ask()", {"DEPTH": True}),
        ("import random, json, logging", {}),
    ],
)  # fmt: skip
def test_a_name_is_noted_however_the_program_asks(
    tmp_path: Path, line: str, expected: dict[str, bool]
) -> None:
    (tmp_path / "keras_like.py").write_text("import os\ndef ask(): return os.environ['DEPTH']\n")
    found = looked_up(tmp_path, line)
    assert {name: found[name] for name in expected} == expected
    assert "*" in expected or set(found) == set(expected)


def test_a_name_that_was_imported_before_is_the_same_mapping(tmp_path: Path) -> None:
    line = "assert environ['DEPTH'] == getenv('DEPTH')"
    assert looked_up(tmp_path, line, before="from os import environ, getenv") == {"DEPTH": True}


def test_what_was_set_before_is_no_input_of_a_program_that_copies_them_all(tmp_path: Path) -> None:
    lines = ("assert os.environ.copy()['SET_BEFORE'] == '1'", "os.environ['SHELL']")
    assert looked_up(tmp_path, *lines) == dict.fromkeys(["*", *GIVEN], True)


def test_what_the_program_sets_itself_is_no_input(tmp_path: Path) -> None:
    lines = ("os.environ['WIDTH'] = '3'", "assert os.environ['WIDTH'] == '3'")
    assert looked_up(tmp_path, *lines, before="CHANGED = {'WIDTH': '3'}") == {}


def test_errors_are_those_of_the_plain_mapping(tmp_path: Path) -> None:
    lines = (
        "try: os.environ['WIDTH']",
        "except KeyError as error: assert error.args == ('WIDTH',)",
    )
    assert looked_up(tmp_path, *lines) == {"WIDTH": False}
    lines = ("try: os.environ[3]", "except TypeError as error: assert 'str expected' in str(error)")
    assert looked_up(tmp_path, *lines) == {}


def test_what_a_library_asks_for_itself_is_not_the_programs(tmp_path: Path) -> None:
    """NumPy is in the environment; a file of that name below its folder is not the user's."""
    line = "import numpy; numpy.show_config(mode='dicts')"
    assert "DEPTH" not in looked_up(tmp_path, line)
