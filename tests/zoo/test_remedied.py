"""Following a remedy removes the dependence: each pair, planted and remedied, by itself.

That a remedied experiment is REPRODUCIBLE is shown by the whole pipeline: for all of them at once
in test_zoo.py, for each by `make zoo`.
"""

import json
import shutil
from pathlib import Path

import pytest

import zoo
from pipeline import LAUNCH, Workspace, command
from samebits.experiment import variations

# What a machine may not be able to vary has no such name, and threads are varied by train.py.
ALONE = ("cpu", "deployment", "node", "interrupt", "contention", "threads", "hash_seed")
NAMES = [
    specimen.model.rpartition(".")[2]
    for specimen in zoo.REMEDIED
    if specimen.model.startswith("remedied.") and all(map(shutil.which, specimen.needs))
]
# A race, what an earlier run left, and what no first weight holds: the whole pipeline sees these.
UNSEEN = {"numpy_race", "cache_file", "resumed", "hidden_generator", "shifted_predictions"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("pairs") / "work"
    for number in range(20):
        (made.parent / "elsewhere" / str(number)).mkdir(parents=True)
    made.mkdir()
    for module in ("digests.py", "planted.py", "remedied.py"):
        shutil.copy(zoo.HERE / module, made)
    return made


def digests(workspace: Workspace, folder: Path, module: str, varied: bool) -> dict[str, str]:
    """The first weights of all models of a module, in a process of their own."""
    vary = [name for name in variations.TITLES if name not in ALONE] if varied else []
    flags = [word for name in vary for word in ("--vary", name)]
    log = folder / f"{module}-{varied}.log"
    line = *LAUNCH, workspace.python("train-tf2.21"), "--log", log, "--isolated", *flags
    asked = "digests.py", module, "../elsewhere", *dict.fromkeys(NAMES)
    command(*line, "PYTHONHASHSEED=0", "--", *asked, cwd=folder, variables={"HOME": str(folder)})
    (found,) = [line for line in log.read_text().splitlines() if line.startswith("digests ")]
    content: dict[str, str] = json.loads(found.partition(" ")[2])
    return content


@pytest.mark.slow
def test_a_planted_model_differs_under_variations_and_a_remedied_one_does_not(
    workspace: Workspace, folder: Path
) -> None:
    planted, remedied = (
        [digests(workspace, folder, module, varied) for varied in (False, True)]
        for module in ("planted", "remedied")
    )
    assert remedied[0] == remedied[1]
    same = {name for name in NAMES if planted[0][name] == planted[1][name]}
    assert same <= UNSEEN
