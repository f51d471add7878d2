"""render.py by its flags: page and badge, made from the certificate alone."""

import subprocess
from pathlib import Path

import pytest

import certificates
from in_process import stage
from samebits.formats import canonical


def flags(folder: Path) -> list[str]:
    names = {"certificate": "certificate.json", "page": "certificate.html", "badge": "badge.svg"}
    return [word for flag, name in names.items() for word in (f"--{flag}", str(folder / name))]


def render(*given: str) -> "subprocess.CompletedProcess[str]":
    return stage("render", *given)


def write(folder: Path, signed: bool = True, replays: int = 0) -> Path:
    path, added = folder / "certificate.json", certificates.replays(replays)
    made = certificates.certificate(certificates.reproducible(), signed, added)
    canonical.write_json(path, made)
    return path


def test_page_and_badge_of_a_certificate_with_replays_and_the_certificate_stays(
    tmp_path: Path,
) -> None:
    before = write(tmp_path, replays=2).read_bytes()
    done = render(*flags(tmp_path))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "certificate.html").read_text(encoding="utf-8").count("REPRODUCED") >= 2
    assert "REPRODUCIBLE" in (tmp_path / "badge.svg").read_text(encoding="utf-8")
    assert (tmp_path / "certificate.json").read_bytes() == before
    first = [(tmp_path / name).read_bytes() for name in ("certificate.html", "badge.svg")]
    render(*flags(tmp_path))
    assert [(tmp_path / name).read_bytes() for name in ("certificate.html", "badge.svg")] == first


def test_a_certificate_without_a_signature_is_marked_on_both(tmp_path: Path) -> None:
    write(tmp_path, signed=False)
    assert render(*flags(tmp_path)).returncode == 0
    for name in ("certificate.html", "badge.svg"):
        assert "UNSIGNED" in (tmp_path / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("content", ["{", "[]", '{"format":"samebits-report-1"}'])
def test_anything_but_a_certificate_leaves_no_page(tmp_path: Path, content: str) -> None:
    (tmp_path / "certificate.json").write_text(content)
    done = render(*flags(tmp_path))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"certificate.json"}


def test_missing_flags_are_wrong_usage() -> None:
    done = render()
    assert done.returncode == 2
    for flag in ("--certificate", "--page", "--badge"):
        assert flag in done.stderr.splitlines()[-1]
