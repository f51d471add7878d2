"""The atlas: what its page and the readers' page say is what its JSON says."""

import re
from collections.abc import Callable
from html import unescape
from html.parser import HTMLParser
from typing import Any

import pytest

import atlas_factory
from atlas import cases, kernels, tables
from atlas.cases import PORTABLE, Framework
from atlas.page import readers_page, render
from atlas_factory import VERSIONS, elsewhere, op, place
from pipeline import ROOT
from samebits.errors import SamebitsError
from samebits.formats import canonical

OLD, NEW = VERSIONS
HOSTILE = "<b>a|b</b> & `c` \\"
LARGEST = 550_000  # bytes


class Matrix(HTMLParser):
    """The tables of class m as lists of cells: attributes, and the text in lines."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[tuple[dict[str, str | None], str]]] = []
        self._inside = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = self._inside or (tag, attrs) == ("table", [("class", "m")])
        if self._inside and tag == "tr":
            self.rows.append([])
        elif self._inside and tag in ("th", "td"):
            self.rows[-1].append((dict(attrs), ""))
        elif self._inside and tag == "br":
            self.handle_data("/")

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "table"

    def handle_data(self, data: str) -> None:
        if self._inside and self.rows and self.rows[-1]:
            attributes, text = self.rows[-1][-1]
            self.rows[-1][-1] = attributes, " ".join((text + data).splitlines())


def matrix(atlas: dict[str, Any]) -> dict[tuple[str, str], list[tuple[dict[str, str | None], str]]]:
    """The cells behind a row's name, by TensorFlow and what begins the row."""
    rows = [row for row in Matrix(render(atlas)).rows if "scope" in row[0][0]]
    body = [row for row in rows if row[0][0]["scope"] == "row"]
    half = len(body) // 2
    assert len(body) == 2 * len(atlas["ops"])
    return {
        (version, row[0][1]): row[1:]
        for version, part in ((NEW, body[:half]), (OLD, body[half:]))
        for row in part
    }


def found(atlas: dict[str, Any], version: str) -> kernels.Found:
    return kernels.found(framework(atlas, version))


def framework(atlas: dict[str, Any], version: str) -> Framework:
    return next(f for f in cases.read(atlas).frameworks if f.version == version)


# --- the matrix ----------------------------------------------------------------------------------


def test_every_cell_that_differs_has_its_numbers_and_no_other_is_marked() -> None:
    one = op("x", "X", different={place(NEW, "EPYC", threads=2): (51, 7), place(OLD): (3, 1)})
    rows = matrix(atlas_factory.atlas(one))
    for version, where, text in (
        (NEW, place(NEW, "EPYC", threads=2), "51/7"),
        (OLD, place(OLD), "3/1"),
    ):
        many, *cells = rows[version, "x float32, 566"]
        assert many[1] == "1"
        assert len(cells) == 48
        marked = {number for number, (attributes, text) in enumerate(cells) if attributes or text}
        column = columns(version).index(where)
        assert marked == {column}
        assert cells[column][1] == text


def columns(version: str) -> list[int]:
    """The places of a TensorFlow's conditions in the order of the columns."""
    made = framework(atlas_factory.atlas(), version)
    return [int(condition.key) for condition in made.conditions]


def test_the_columns_are_settings_by_settings_each_on_the_native_cpu_first() -> None:
    made = framework(atlas_factory.atlas(), NEW)
    assert made.settings[0] == PORTABLE
    assert [c.cpu for c in made.conditions] == list(atlas_factory.CPUS) * 12
    assert [c.settings for c in made.conditions][::4] == list(made.settings)


def test_numbers_that_are_cut_are_there_in_full() -> None:
    wide = op("x", "X", elements=99_999, different={place(NEW, "EPYC"): (12_345, 12_900)})
    nan = op("y", "Y", different={place(NEW, "EPYC"): (7, None)})
    rows = matrix(atlas_factory.atlas(wide, nan))
    where = 1 + columns(NEW).index(place(NEW, "EPYC"))
    assert rows[NEW, "x float32, 99,999"][where] == (
        {"class": "f", "title": "12,345 of 99,999, 12,900 ULP"},
        "12k/12k",
    )
    assert rows[NEW, "y float32, 566"][where] == (
        {"class": "f", "title": "7 of 566, NaN or ∞"},
        "7/∞",
    )


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "0"),
        (999, "999"),
        (9_999, "9999"),
        (10_000, "10k"),
        (999_999, "999k"),
        (10**6, "1.0M"),
        (10**12, "1e12"),
        (18_446_744_073_709_551_615, "2e19"),
    ],
)
def test_a_number_fits_into_a_narrow_cell(number: int, shown: str) -> None:
    assert tables.few(number) == shown


def test_what_the_settings_and_what_the_cpu_changes_look_different() -> None:
    places = {place(NEW, onednn=False): (5, 1), place(NEW, "EPYC"): (5, 1)}
    row = matrix(atlas_factory.atlas(op("x", "X", different=places)))[NEW, "x float32, 566"]
    assert sorted(a["class"] or "" for a, text in row[1:] if text) == ["d", "n"]


def test_an_equal_row_is_one_empty_cell_and_an_unavailable_one_says_so() -> None:
    rows = matrix(atlas_factory.atlas(op("x", "X"), op("y", "Y", versions=[NEW])))
    for key in ((OLD, "x float32, 566"), (NEW, "x float32, 566"), (NEW, "y float32, 566")):
        assert [text for _, text in rows[key]] == ["=", ""]
    assert [text for _, text in rows[OLD, "y float32, 566"]] == [
        "–",
        f"not available in TensorFlow {OLD}",
    ]


def test_where_an_op_is_not_available_no_cell_says_that_it_is_equal() -> None:
    """The native one without oneDNN would be compared with one that does not exist."""
    differs = {place(NEW, "EPYC"): (51, 7)}
    atlas = atlas_factory.atlas(
        op("x", "X", different=differs, without=[]),
        op("y", "Y", without=[]),
        op("z", without=["Z"]),
    )
    rows, places = matrix(atlas), columns(NEW)
    for name, many in (("x", "1"), ("y", "="), ("z", "=")):
        first, *cells = rows[NEW, f"{name} float32, 566"]
        assert first[1] == many
        lacking = {place for place, (_, text) in zip(places, cells, strict=True) if text == "–"}
        without = [where for where in places if not atlas["conditions"][where]["onednn"]]
        natives = [where for where in places if atlas["conditions"][where]["cpu"] == "native"]
        on = set(places) - set(without)
        assert lacking == (on | set(natives) if name == "z" else set(without))
    assert "1 of 2 cases depend on the CPU" in plain(render(atlas))
    assert "| AVX2, oneDNN off, 1 thread | 0 of 1 |" in readers_page(atlas)


# --- the kernels ---------------------------------------------------------------------------------


def test_a_kernel_is_guilty_when_a_case_that_runs_nothing_else_differs() -> None:
    known = found(atlas_factory.atlas(), NEW)
    first = known.kernels[0]
    assert (first.name, first.alone) == ("Rsqrt float32", True)
    assert (first.worst.elements, first.worst.of, first.worst.ulp) == (51, 2566, 1)
    assert first.worst.cpus == ("Haswell", "Skylake-Client", "EPYC")
    assert [case.name for case in first.reaches] == ["rsqrt", "layer_norm"]


def test_a_kernel_is_guilty_when_the_others_of_its_case_run_in_equal_cases() -> None:
    kernels = {kernel.name: kernel for kernel in found(atlas_factory.atlas(), NEW).kernels}
    assert set(kernels) == {"Rsqrt float32", "Reciprocal float32"}
    assert not kernels["Reciprocal float32"].alone


def test_what_runs_beside_a_guilty_kernel_is_not_blamed() -> None:
    differs = elsewhere(NEW, 1, 1)
    atlas = atlas_factory.atlas(
        op("a", "Rsqrt float32", different=differs),
        op("b", "Rsqrt float32", "Innocent float32", different=differs),
    )
    assert [kernel.name for kernel in found(atlas, NEW).kernels] == ["Rsqrt float32"]


def test_a_case_with_two_suspects_is_not_explained() -> None:
    known = found(atlas_factory.atlas(), NEW)
    assert [case.name for case in known.unexplained] == ["mixed"]
    assert known.reached == 4


def test_only_the_portable_settings_and_other_cpus_count() -> None:
    known = found(atlas_factory.atlas(), OLD)
    assert (known.kernels, known.unexplained, known.reached) == ((), (), 0)


def test_a_nan_is_the_largest_distance() -> None:
    different = {place(NEW, "EPYC"): (1, None), place(NEW, "Haswell"): (2, 9)}
    known = found(atlas_factory.atlas(op("a", "A", different=different)), NEW)
    assert known.kernels[0].worst.ulp is None


# --- the counts of both documents ----------------------------------------------------------------


def plain(html: str) -> str:
    """The text of a page on one line."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def test_both_documents_have_the_counts_of_the_json() -> None:
    atlas = atlas_factory.atlas()
    page, readers = plain(render(atlas)), readers_page(atlas)
    assert "4 of 8 cases depend on the CPU because of 2 kernels, 1 not explained" in page
    assert "| 2.21.0 | 4 of 8 |\n| 2.8.0 | 0 of 7 |" in readers
    assert "oneDNN off 1 of 8 contractions 1 0 of 7" in page
    assert "| oneDNN off | 1 of 8: contractions 1 | 0 of 7 |" in readers
    assert "| 4 threads | 1 of 8: contractions 1 | 0 of 7 |" in readers
    assert "| no cap on instruction sets | 0 of 8 | 1 of 7: contractions 1 |" in readers
    assert "AVX2, oneDNN on, 1 thread 2 1 3 0 0 0 Intel AVX2" in page
    assert "AVX2, oneDNN off, 1 thread 0 0 0 1 1 1 not in use" in page
    line = "| AVX2, oneDNN on, 1 thread | 2 of 8 | 1 of 8 | 3 of 8 | 0 of 7 | 0 of 7 | 0 of 7 |"
    assert line in readers
    assert (
        "| `Rsqrt float32` | 2.21.0 | 51 of 2,566 | 1 ULP | 2 | `rsqrt`, `layer_norm` |" in readers
    )


COUNTED = re.compile(r"(?<![\d,])([\d,]*\d) of ([\d,]*\d)(?![\d,])")


def test_every_count_is_among_one_of_the_totals_and_they_add_up() -> None:
    """Of the real atlas, in both documents."""
    atlas = canonical.read_json(ROOT / "docs" / "atlas.json")
    page, readers = plain(render(atlas)), readers_page(atlas)
    content = cases.newest_first(cases.read(atlas))
    totals = [tables.totals(content, f) for f in content.frameworks]
    for what in totals[0]:
        said = [f"{found[what]:,}" for found in totals]
        assert f"{what} {' '.join(said)}" in page
        assert f"| {what} | {' | '.join(said)} |" in readers
    for one, found_in in zip(totals, content.frameworks, strict=True):
        blocks, known = list(tables.blocks(content, found_in)), kernels.found(found_in)
        assert sum(block.available for block in blocks) == one["that this TensorFlow has"]
        assert sum(block.differing for block in blocks) == one["with other bits anywhere"]
        explained = {case for kernel in known.kernels for case in kernel.reaches}
        assert len(explained) == one["of these, explained by one or more kernels"]
        assert len(known.unexplained) == one["of these, not explained"]
    numbers = {number for one in totals for number in one.values()}
    elements = {case.elements for case in content.cases}
    for text in (page, readers):
        counts = [[int(n.replace(",", "")) for n in found] for found in COUNTED.findall(text)]
        assert len(counts) > 20
        assert {of for _, of in counts} <= numbers | elements


def test_the_page_opens_with_the_profile_that_each_op_needs() -> None:
    everywhere = elsewhere(NEW, 1, 1)
    ops = [
        op("equal", "Add float32"),
        op("rsqrt", "Rsqrt float32", different=everywhere),
        op("lrn", "LRN float32", different=everywhere),
        op("mixed", "Add float32", "Mul float32", different=everywhere),
        op("equal", "Mul float32"),
        op("sum", "Sum float32", different={place(NEW, threads=2): (1, 1)}),
    ]
    atlas = atlas_factory.atlas(*ops)
    page = plain(render(atlas))
    assert page.index("Your layer: safe under which profile?") < page.index("What was counted")
    assert "elementwise equal , sum \u2020 rsqrt lrn , mixed" in page


def test_one_change_at_a_time_is_counted() -> None:
    changes = list(tables.changes(cases.read(atlas_factory.atlas())))
    assert [change.what for change in changes] == [
        "2 threads",
        "4 threads",
        "oneDNN off",
        "no cap on instruction sets",
    ]


def test_what_onednn_uses_is_said_of_each_cpu_where_they_differ() -> None:
    atlas = atlas_factory.atlas()
    atlas["conditions"][place(NEW, "Haswell")]["isa_in_force"] = None
    said = tables.in_force(cases.read(atlas), PORTABLE)
    assert said == (
        "Intel AVX2 (native, Haswell 2.8.0, Skylake-Client, EPYC); not told (Haswell 2.21.0)"
    )


@pytest.mark.parametrize("avx512", [False, True])
def test_a_machine_without_avx512_is_said_to_have_nothing_to_cap(avx512: bool) -> None:
    atlas = atlas_factory.atlas(avx512=avx512)
    assert ("has no AVX-512" in render(atlas)) is not avx512
    assert ("has no AVX-512" in readers_page(atlas)) is not avx512


# --- what is quoted ------------------------------------------------------------------------------


def hostile() -> dict[str, Any]:
    """An atlas that says something unpleasant wherever it says something."""
    atlas = atlas_factory.atlas(
        op(HOSTILE, HOSTILE, group=HOSTILE, dtype=HOSTILE, different=elsewhere(NEW, 1, 1)),
        op("a", HOSTILE + "1", HOSTILE + "2", different=elsewhere(NEW, 1, 1)),
        op("b", "B", group=HOSTILE, different={place(NEW, onednn=False): (1, 1)}),
    )
    atlas["machine"] |= {"cpu": HOSTILE, "os": HOSTILE}
    atlas["emulator"] = atlas["frameworks"][0]["wheel"] = HOSTILE
    for condition in atlas["conditions"]:
        condition["isa_in_force"] = HOSTILE
    return atlas


def test_whatever_is_quoted_is_escaped_on_the_page() -> None:
    html = render(hostile())
    assert "<b>a|b" not in html
    assert html.count("&lt;b&gt;a|b&lt;/b&gt; &amp;") >= 8


def test_whatever_is_quoted_is_text_in_markdown() -> None:
    readers = readers_page(hostile())
    assert not re.search(r"(?<!\\)<b", readers)
    assert readers.count(r"\<b\>a\|b\</b\> \& \`c\` \\") >= 4  # in cells


@pytest.mark.parametrize(
    ("atlas", "tables"),
    [
        (atlas_factory.atlas(), 10),
        (hostile(), 10),
        (atlas_factory.atlas(op("x", "X")), 7),  # nothing to explain
        (atlas_factory.atlas(op("x", "X"), avx512=True), 7),
    ],
    ids=["few", "hostile", "equal", "avx512"],
)
def test_every_table_of_the_readers_page_is_whole(atlas: dict[str, Any], tables: int) -> None:
    """A head, a line of dashes, rows of as many cells, and empty lines around."""
    blocks = re.findall(r"(?:^\|.*\n)+", readers_page(atlas), re.MULTILINE)
    assert len(blocks) == tables
    for block in blocks:
        lines = block.splitlines()
        assert set(lines[1]) == set("| -")
        assert len(lines) > 2
        assert len({len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in lines}) == 1
    outside = re.sub(r"(?:^\|.*\n)+", "TABLE\n", readers_page(atlas), flags=re.M)
    assert "\n\n\n" not in outside
    assert len(re.findall(r"(?:^|\n\n)TABLE\n(?:\n|$)", outside)) == len(blocks)


def test_every_link_of_the_readers_page_leads_to_one_of_its_headings_or_files() -> None:
    readers = readers_page(atlas_factory.atlas())
    headings = {
        re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", readers, re.MULTILINE)
    }
    links = re.findall(r"\]\(([^)]*)\)", readers)
    assert {link[1:] for link in links if link.startswith("#")} <= headings
    files = {link.partition("#")[0] for link in links if not link.startswith("#")}
    assert {"atlas.html", "atlas.json", "usage.md", "speed.md"} <= files
    assert all((ROOT / "docs" / file).is_file() for file in files)


# --- what does not fit ---------------------------------------------------------------------------


def test_another_format_is_refused() -> None:
    with pytest.raises(SamebitsError, match="samebits-atlas-1, got other"):
        render(atlas_factory.atlas() | {"format": "other"})


@pytest.mark.parametrize("key", ["conditions", "portable"])
def test_conditions_that_are_no_grid_are_refused(key: str) -> None:
    atlas = atlas_factory.atlas(op("x", "X"))
    if key == "conditions":
        del atlas["conditions"][-1]
    else:
        atlas["conditions"] = [c for c in atlas["conditions"] if c["isa"] is None]
    with pytest.raises(SamebitsError, match="every CPU once with every settings"):
        render(atlas)


def test_frameworks_under_different_conditions_are_refused() -> None:
    atlas = atlas_factory.atlas(op("x", "X"))
    atlas["conditions"] = [
        c for c in atlas["conditions"] if c["tensorflow"] == OLD or c["threads"] != 4
    ]
    with pytest.raises(SamebitsError, match="not every TensorFlow was run under the same"):
        render(atlas)


def test_a_difference_that_no_page_would_show_is_refused() -> None:
    stray = op("x", "X", versions=[NEW], different={place(OLD, "EPYC"): (1, 1)})
    with pytest.raises(SamebitsError, match=f"x float32 value .*: {place(OLD, 'EPYC')};"):
        render(atlas_factory.atlas(stray))


# --- the committed documents -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "render"),
    [("atlas.html", render), ("same-bits.md", readers_page)],
)
def test_a_document_is_what_the_atlas_renders_to(
    name: str, render: Callable[[dict[str, Any]], str]
) -> None:
    """Hundreds of rows are a small page."""
    atlas = canonical.read_json(ROOT / "docs" / "atlas.json")
    document = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert document == render(atlas)
    assert len(atlas["ops"]) > 500 and len(document.encode()) < LARGEST


def test_the_kernels_that_depend_on_the_cpu_are_those_of_the_matrix() -> None:
    """The product looks them up; how they follow from what was measured only the study knows."""
    atlas = canonical.read_json(ROOT / "docs" / "atlas.json")
    assert atlas["depends"] == kernels.depends(cases.read(atlas))
