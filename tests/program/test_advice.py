"""What helps against the error that ended a program."""

from pathlib import Path

import pytest

from samebits.program.advice import advice


def missing(name: str) -> ModuleNotFoundError:
    return ModuleNotFoundError(f"No module named {name!r}", name=name)


class TBNotInstalledError(Exception):
    """As TensorFlow names it, which raises it in place of an ImportError."""


NO_BOARD = "TensorBoard is not installed, missing implementation for tf.summary.scalar"
NO_PICTURES = "Could not import PIL.Image. The use of `array_to_img` requires PIL."
NO_GRAPHS = "You must install pydot (`pip install pydot`) for `plot_model` to work."


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (TBNotInstalledError(NO_BOARD), "; to install it, give: packages=[tensorboard]"),
        (ImportError(NO_PICTURES), "; to install it, give: packages=[pillow]"),
        (ImportError(NO_GRAPHS), "; to install it, give: packages=[pydot]"),
        (ImportError("cannot import name 'x' from 'y'"), ""),
        (missing("pandas"), "; to install it, give: packages=[pandas]"),
        (missing("sklearn.svm"), "; to install it, give: packages=[scikit-learn]"),
        (missing("helpers"), "; helpers is in the project and ignored by git: git add it"),
        (FileNotFoundError(2, "", "data/a.csv"), "add: inputs=[data/a.csv]"),
        (FileNotFoundError(2, "", "data/none.csv"), ""),
        (FileNotFoundError(2, "", "/nowhere"), ""),
        (ValueError("mine"), ""),
        (None, ""),
    ],
)
def test_the_line_to_add_is_named_where_one_is_known(
    error: BaseException | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, workspace = tmp_path / "project", tmp_path / "copy"
    (project / "data").mkdir(parents=True)
    (project / "data" / "a.csv").touch()
    (project / "helpers.py").touch()
    workspace.mkdir()
    monkeypatch.chdir(workspace)
    found = advice(error, project, workspace)
    assert found.endswith(said) and bool(found) == bool(said)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["tensorboard"], "; to install it, give: packages=[tensorboard,pandas]"),
        ("requirements.txt", "; to install it, add pandas to requirements.txt"),
    ],
)
def test_packages_that_the_config_names_are_kept(given: str | list[str], said: str) -> None:
    assert advice(missing("pandas"), Path("project"), Path("copy"), packages=given) == said
