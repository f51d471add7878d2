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


@pytest.mark.process
def test_a_failure_shows_the_end_of_the_output_of_uv_and_the_next_step(tmp_path: Path) -> None:
    tool = tmp_path / "uv"
    tool.write_text("#!/bin/sh\nseq 100 >&2\nexit 3\n")
    tool.chmod(stat.S_IRWXU)
    with pytest.raises(SamebitsError) as caught:
        uv.run(tool, ["pip", "install"], "do this")
    lines = str(caught.value).splitlines()
    assert lines[0] == "`uv pip install` failed with exit code 3:"
    assert (lines[-2], lines[-1], "  | 50" in lines) == ("  | 100", "do this", False)


@pytest.mark.process
def test_what_uv_downloads_is_said_with_sizes_how_many_and_the_time_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "uv"
    tool.write_text(
        "#!/bin/sh\n"
        "echo 'Resolved 3 packages in 20ms' >&2\n"
        "echo 'Downloading tensorflow-cpu (270.0MiB)' >&2\n"
        "echo 'Downloading numpy (30.0MiB)' >&2\n"
        "echo ' Downloaded numpy' >&2\n"
        "echo ' Downloaded tensorflow-cpu' >&2\n"
        "echo ' + numpy==2.4.6' >&2\n"
        "seq 100000\n"
    )
    tool.chmod(stat.S_IRWXU)
    downloads = uv.Downloads("train", began=100.0)
    monkeypatch.setattr("time.monotonic", lambda: 110.0)
    printed = uv.run(tool, ["pip", "install"], hear=downloads.hear)
    assert printed.endswith("\n100000\n")
    assert capsys.readouterr().err.splitlines() == [
        "train: downloading tensorflow-cpu, 270.0 MiB",
        "train: downloaded 1 of 2 large files, 30.0 of 300.0 MiB, 1 min 30 s left",
        "train: downloaded 2 of 2 large files, 300.0 of 300.0 MiB, 0.0 s left",
    ]
