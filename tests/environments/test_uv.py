"""What of a user's settings reaches uv."""

import stat
from pathlib import Path

import pytest

from samebits.environments import uv
from samebits.errors import SamebitsError


def test_what_could_change_the_packages_is_kept_out_and_where_they_come_from_is_kept() -> None:
    out = ["PYTHONPATH", "PIP_CONSTRAINT", "UV_CONSTRAINT", "UV_TARGET", "VIRTUAL_ENV"]
    kept = ["UV_DEFAULT_INDEX", "UV_INDEX_MINE_PASSWORD", "UV_CACHE_DIR", "HTTPS_PROXY", "HOME"]
    found = uv.hermetic(dict.fromkeys([*out, *kept], "x"))
    assert [name for name in (*out, *kept) if found.get(name)] == kept


def test_the_index_that_pip_is_configured_with_is_used() -> None:
    told = {"PIP_INDEX_URL": "a", "PIP_EXTRA_INDEX_URL": "b"}
    kept = uv.hermetic(told)
    assert (kept["UV_DEFAULT_INDEX"], kept["UV_INDEX"]) == ("a", "b")
    assert uv.hermetic({**told, "UV_DEFAULT_INDEX": "c"})["UV_DEFAULT_INDEX"] == "c"
    assert "UV_INDEX" not in uv.hermetic({**told, "UV_DEFAULT_INDEX": "c"})


def test_a_failure_shows_the_end_of_the_output_of_uv_and_the_next_step(tmp_path: Path) -> None:
    tool = tmp_path / "uv"
    tool.write_text("#!/bin/sh\nseq 100 >&2\nexit 3\n")
    tool.chmod(stat.S_IRWXU)
    with pytest.raises(SamebitsError) as caught:
        uv.run(tool, ["pip", "install"], "do this")
    lines = str(caught.value).splitlines()
    assert lines[0] == "`uv pip install` failed with exit code 3:"
    assert (lines[-2], lines[-1], "  | 50" in lines) == ("  | 100", "do this", False)
