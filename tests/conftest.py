"""Tests import `samebits` as the stage scripts do: scripts/ is on the path."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from pipeline import Workspace


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """One folder for all tests that need an environment: each is built once."""
    return Workspace(tmp_path_factory.mktemp("workspace"))
