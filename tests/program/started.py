"""scripts/program.py by its flags, as the rule starts it, in the environment of a framework."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import LAUNCH, ROOT, SCRIPTS, Workspace, command, configure, skip_without
from samebits.formats import canonical

RECIPE = {"tf2.1": "tf21"}  # of the article, by framework; else tf28


@dataclass(frozen=True)
class Started:
    """A run that has ended."""

    done: subprocess.CompletedProcess[str]
    folder: Path

    @property
    def output(self) -> Path:
        """The run's folder."""
        return self.folder / "run"

    @property
    def record(self) -> Any:
        """Its record."""
        return json.loads((self.output / "record.json").read_bytes())


def start(
    workspace: Workspace,
    project: Path,
    folder: Path,
    words: str,
    framework: str,
    flags: Sequence[str] = (),
    inputs: Sequence[dict[str, Any]] = (),
    run: str = "control",
    **changes: Any,
) -> Started:
    """Run a program of a project; ``inputs``: entries of inputs.json."""
    skip_without("3.11" if framework == "tf2.21" else "3.7")
    determinism = RECIPE.get(framework, "tf28")
    given = {"script": words, "source_path": str(project), "framework": framework}
    given |= {"determinism": determinism, "protocol": "twice", **changes}
    experiment = configure(given, ROOT / "conf")
    data, environment = folder / "data" / "inputs" / "arrays", f"train-{framework}"
    data.mkdir(parents=True, exist_ok=True)
    canonical.write_json(data / "inputs.json", list(inputs))
    canonical.write_json(folder / "config.json", experiment.config)
    done = command(
        *LAUNCH, workspace.python(environment), "--log", folder / "log.txt", "--isolated",
        "--workspace", project, *(w for one in inputs for w in ("--input", one["path"])),
        *experiment.variables(), "--", SCRIPTS / "program.py",
        "--config", folder / "config.json", "--data", data,
        "--lock", ROOT / f"envs/{environment}.lock.txt",
        "--source-path", project, "--run", run, "--output", folder / "run", *flags,
        cwd=folder, check=False,
    )  # fmt: skip
    return Started(done, folder)
