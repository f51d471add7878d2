"""What Snakemake itself runs on: fewer packages than the tests have."""

import importlib.metadata
import os
import re
import subprocess
import sys

from pipeline import ROOT, SCRIPTS
from samebits.formats import lockfile

IMPORTS = re.compile(r"^from samebits.*", re.MULTILINE)


def absent() -> list[str]:
    """Top-level modules of packages that the tests have and the driver has not."""
    driver = {p.name for p in lockfile.read(ROOT / "envs" / "driver.lock.txt").packages}
    return [
        module
        for module, owners in importlib.metadata.packages_distributions().items()
        if not driver & {lockfile.normal(owner) for owner in owners}
    ]


def test_what_the_snakefile_imports_is_there_in_the_drivers_environment() -> None:
    assert {"cryptography", "securesystemslib"} <= set(absent())
    rules = [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")]
    imports = [line for path in rules for line in IMPORTS.findall(path.read_text(encoding="utf-8"))]
    assert len(imports) > 2
    program = "\n".join(
        ["import sys", f"sys.modules.update(dict.fromkeys({absent()!r}))", *imports]
    )
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
