"""Markdown: what is quoted stays text, and a table is one whatever is in its cells."""

import re
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from atlas import readers
from atlas.readers import Markdown

HOSTILE = "a|b `c` *d* _e_ [f](g) <h> & # \\ ~i~ $j$\nk"


def cells(line: str) -> list[str]:
    """A row's cells as GitHub parts them: an escaped pipe does not."""
    return [cell.strip() for cell in re.findall(r"((?:\\.|[^|\\])*)\|", line.strip()[1:])]


def test_what_is_quoted_is_text_on_one_line() -> None:
    escaped = readers.escape(HOSTILE)
    assert "\n" not in escaped
    assert re.sub(r"\\(.)", r"\1", escaped) == " ".join(HOSTILE.split())
    for sign in "`*_[]<>&#~$":
        assert not re.search(rf"(?<!\\){re.escape(sign)}", escaped)


def test_what_is_markdown_already_is_not_escaped_again() -> None:
    assert readers.escape(Markdown("`code`")) == "`code`"


@pytest.mark.parametrize("text", ["a`b", "a|b", "a\\", " ", ""])
def test_a_name_that_code_cannot_show_is_text(text: str) -> None:
    assert readers.code(text) == readers.escape(text)
    assert readers.code("Rsqrt float32") == "`Rsqrt float32`"


@pytest.mark.parametrize("text", [HOSTILE, "|", "\\|", "a\\", "||", ""])
def test_every_row_of_a_table_has_as_many_cells_as_its_head(text: str) -> None:
    made = readers.table([text, "b"], [[text, 1], [readers.code(text), text]])
    lines = made.splitlines()
    assert lines[1] == "| --- | --- |"
    assert [len(cells(line)) for line in lines] == [2] * 4


def test_a_row_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 2 cells, got 1"):
        readers.table(["a", "b"], [["c"]])


def test_a_template_escapes_what_it_quotes_and_refuses_what_is_not_given(tmp_path: Path) -> None:
    path = tmp_path / "a.md.j2"
    path.write_text("*{{ value }}* {{ table }}\n")
    template = readers.template(path)
    assert template.render(value="<b>*", table=Markdown("| a |")) == "*\\<b\\>\\** | a |\n"
    with pytest.raises(UndefinedError):
        template.render(value="")
