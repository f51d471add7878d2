"""The atlas's documents in the repository are what its JSON there renders to."""

from collections.abc import Callable
from typing import Any

import pytest

from atlas import cases, kernels, page
from pipeline import ROOT
from samebits.formats import canonical


@pytest.mark.parametrize(
    ("name", "render"),
    [("atlas.html", page.render), ("same-bits.md", page.readers_page)],
)
def test_a_document_is_what_the_atlas_renders_to(
    name: str, render: Callable[[dict[str, Any]], str]
) -> None:
    atlas = canonical.read_json(ROOT / "docs" / "atlas.json")
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == render(atlas)


def test_the_kernels_that_depend_on_the_cpu_are_those_of_the_matrix() -> None:
    """The product looks them up; how they follow from what was measured only the study knows."""
    atlas = canonical.read_json(ROOT / "docs" / "atlas.json")
    assert atlas["depends"] == kernels.depends(cases.read(atlas))
