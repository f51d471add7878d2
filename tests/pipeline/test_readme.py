"""The commands of the README, as they stand, in a fresh clone with an empty HOME."""

import os
import re
import shlex
import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pipeline import ROOT, Workspace, command

# These only say what they would do, for a reason.
_DRY = {
    "./samebits certificate protocol=exhaustive": "29 trainings; tests/pipeline/test_protocols.py",
    "./samebits sweep model=mlp,cnn 'seed=range(0,10)'": "20 experiments; test_sweep_pipeline.py",
    "./samebits certificate --profile profiles/slurm model=cnn": "a cluster; tests/cluster",
}
_LONGEST = 1800  # seconds


def commands() -> list[str]:
    """What the README shows as commands, without their remarks, in its order."""
    lines = re.findall(
        r"^    ((?:\./samebits|python3) .*)$", (ROOT / "README.md").read_text(), re.M
    )
    return [re.sub(r"\s+#.*", "", line) for line in lines]


def test_the_readme_shows_commands_and_what_is_only_tried_dry_is_among_them() -> None:
    assert len(commands()) > 10
    assert set(_DRY) <= set(commands())
    assert len(_DRY) <= 3


@pytest.mark.slow
@pytest.mark.environment
def test_every_command_of_the_readme_works_in_a_fresh_clone(tmp_path: Path) -> None:
    clone, home = tmp_path / "samebits", tmp_path / "home"
    command("git", "clone", "--quiet", ROOT, clone, cwd=tmp_path)
    home.mkdir()
    Workspace.make(clone)  # the environments of its stages, which are the same, are built before
    variables = {name: "" for name in os.environ if name.startswith(("XDG_", "SAMEBITS_"))}
    variables |= {"HOME": str(home)}
    # What a reader has by then, under the names that the README gives it.
    given = {
        "certificate.json": clone / "results/default/certificate.json",
        "key.pub": tmp_path / "key.pub",
        "certificate.zip": clone / "results/checkpoint=epoch/certificate.zip",
        "golden.zip": clone / "results/default/certificate.zip",
    }
    key = Ed25519PrivateKey.generate().public_key()
    given["key.pub"].write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    for line in commands():
        words = shlex.split(line) + ["--dry-run"] * (line in _DRY)
        for name in given.keys() & set(words):
            if name == "certificate.zip":
                command("./samebits", "bundle", "checkpoint=epoch", cwd=clone, variables=variables)
            shutil.copy(given[name], clone / name)
        done = command(*words, cwd=clone, variables=variables, longest=_LONGEST)
        assert done.stdout.strip(), line
