"""Packages held against the lock."""

from pathlib import Path

import pytest

from samebits.errors import SamebitsError
from samebits.formats import lockfile
from samebits.training import environment_record


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "lock.txt"
    digest = "a" * 64
    path.write_text(
        "# Locked for CPython 3.11 on Linux x86_64 by scripts/lock.py; do not edit\n"
        "--only-binary :all:\n"
        f"some-package==1.2 --hash=sha256:{digest}\n"
        f"other==3 --hash=sha256:{digest}\n"
    )
    return path


def test_names_versions_and_digests_are_read_from_a_lock(lock: Path) -> None:
    expected = {"some-package": ("1.2", "a" * 64), "other": ("3", "a" * 64)}
    assert lockfile.locked(lock) == expected


def test_an_environment_as_locked_is_accepted_with_its_installers(lock: Path) -> None:
    environment_record.check_lock(lock, {"some-package": "1.2", "other": "3", "pip": "24.0"})


def test_every_package_that_differs_is_listed(lock: Path) -> None:
    with pytest.raises(SamebitsError) as caught:
        environment_record.check_lock(lock, {"some-package": "1.3", "extra": "1"})
    for part in ("some-package: expected 1.2, got 1.3", "other: expected 3, got none"):
        assert part in str(caught.value)
    assert "extra: expected none, got 1" in str(caught.value)
