"""The environment variables that the user's program looks up, however it asks Python for them.

The mapping behind os.environ and os.getenv notes each name and gives the same answers. A name is
the program's when its code asks, or the standard library for it (os.path.expandvars); not what
TensorFlow or Keras ask for themselves, and not what this process has set. The C library's getenv
and child processes are not seen.

Runs on Python 3.7 to 3.13.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path
from types import FrameType
from typing import Any

from samebits.observation import environment, executed

ALL = "*"  # the program listed all of them
_LIBRARY, _PACKAGES = (
    tuple(sysconfig.get_paths()[kind] + os.sep for kind in kinds)
    for kinds in (("stdlib", "platstdlib"), ("purelib", "platlib"))
)
_CALLS = ("autograph", "impl", "api.py")  # by which TensorFlow calls functions of a program
_CHECKOUT = str(executed.as_named(__file__).parents[2]) + os.sep
_Environ: Any = type(os.environ)
_found: dict[str, bool] = {}  # name: whether it was set
_own: set[str] = set()  # set by this process


class _Noting(_Environ):  # type: ignore[misc]
    """``os.environ``; made so by a change of class, so that it stays the same object."""

    def __getitem__(self, key: Any) -> Any:
        coded = self.encodekey(key)
        _note(os.fsdecode(coded), coded in self._data)
        return super().__getitem__(key)

    def __setitem__(self, key: Any, value: Any) -> None:
        _own.add(os.fsdecode(self.encodekey(key)))
        super().__setitem__(key, value)

    def __iter__(self) -> Any:
        _note(ALL, True)
        return super().__iter__()

    def __len__(self) -> Any:
        _note(ALL, True)
        return super().__len__()

    def __repr__(self) -> Any:
        _note(ALL, True)
        return super().__repr__()


def install() -> None:
    """Note the names from now on; TensorFlow may have been imported, and set some."""
    given = environment.at_start()
    _own.update(name for name, value in os.environ.items() if given.get(name) != value)
    for environ in (os.environ, os.environb):
        environ.__class__ = _Noting


def found() -> list[dict[str, Any]]:
    """Every name that the program looked up first of all, and whether it was set, sorted."""
    return [{"name": name, "set": _found[name]} for name in sorted(_found)]


def _note(name: str, is_set: bool) -> None:
    if name not in _own and name not in _found and _asks(sys._getframe(2)):
        _found[name] = is_set


def _asks(frame: FrameType | None) -> bool:
    """Whether the first code outside of the standard library is the program's."""
    while frame is not None and _is_between(frame.f_code.co_filename):
        frame = frame.f_back
    file = "" if frame is None else frame.f_code.co_filename
    return file.startswith(os.sep) and executed.is_input(file) and not file.startswith(_CHECKOUT)


def _is_between(file: str) -> bool:
    """Whether code asks for others: the standard library's, what exec runs, or TensorFlow's."""
    library = file.startswith(_LIBRARY) and not file.startswith(_PACKAGES)
    return library or file.startswith("<") or Path(file).parts[-3:] == _CALLS
