"""Text for a terminal. What a file says may steer nothing there."""

from __future__ import annotations

COLOURS = {"red": "31", "green": "32", "yellow": "33", "magenta": "35", "cyan": "36"}


def plain(text: str) -> str:
    """Text that may quote a file, without anything that steers a terminal."""
    return "".join(c if c.isprintable() else " " for c in text)


def bold(text: str, colour: str, wanted: bool) -> str:
    """Text in a colour, where that is wanted."""
    return f"\033[1;{COLOURS[colour]}m{text}\033[0m" if wanted else text
