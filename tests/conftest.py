"""Tests import `samebits` as the stage scripts do: scripts/ is on the path."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
