"""What Snakemake itself runs on: fewer packages than the tests have."""

import importlib.metadata
import os
import re
import subprocess
import sys

import pytest
import snakemake
import yaml

from pipeline import ROOT, SCRIPTS
from samebits.formats import lockfile

pytestmark = pytest.mark.process

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
    assert len(imports) > 1
    program = "\n".join(
        ["import sys", f"sys.modules.update(dict.fromkeys({absent()!r}))", *imports]
    )
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)


STAND_IN = """
import sys, types
{setup}
package = types.ModuleType("snakemake")
package.__version__, package.__path__ = {version!r}, {path!r}
sys.modules["snakemake"] = package
from snakemake.exceptions import WorkflowError
workflow = types.SimpleNamespace(current_basedir={root!r})
head = open({snakefile!r}).read().partition("\\nplan = ")[0]
try:
    exec(compile(head, "Snakefile", "exec"))
except WorkflowError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("version", "setup", "why"),
    [
        ("8.30.0", "", "it is older than 9.0"),
        (
            "9.27.1",
            'sys.modules["hydra"] = None',
            "No module named 'hydra.core'; 'hydra' is not a package",
        ),
        ("9.27.1", "", None),
    ],
)
def test_another_snakemake_gets_one_sentence(version: str, setup: str, why: str | None) -> None:
    program = STAND_IN.format(
        setup=setup,
        version=version,
        path=list(snakemake.__path__),
        root=str(ROOT),
        snakefile=str(ROOT / "Snakefile"),
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    said = (
        f"Snakemake {version} of {sys.prefix} cannot run samebits: {why}; run {ROOT}/samebits "
        "instead, which brings the Snakemake of envs/driver.lock.txt\n"
    )
    assert done.stdout == (said if why else "")


def test_a_snakemake_before_9_is_given_no_setting_that_it_does_not_know() -> None:
    """It ends with sixty lines of usage otherwise, before it has read the Snakefile."""
    profile = yaml.safe_load((ROOT / "profiles/default/config.yaml").read_text())
    assert profile == {"rerun-incomplete": True}
    assert (ROOT / "profiles/default/config.v9+.yaml").is_file()


def test_what_a_report_needs_is_in_the_drivers_environment() -> None:
    """Snakemake does not ask for it itself."""
    driver = {p.name for p in lockfile.read(ROOT / "envs" / "driver.lock.txt").packages}
    assert {"jinja2", "docutils", "pygments"} <= driver
