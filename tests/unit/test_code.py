"""Which files a stage's results depend on."""

from pathlib import Path

from samebits import code

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def names(script: str) -> set[str]:
    return {str(Path(f).relative_to(SCRIPTS)) for f in code.files(SCRIPTS / script)}


def test_a_stage_depends_on_its_script_and_what_that_imports_directly_or_not() -> None:
    found = names("train.py")
    assert {"train.py", "samebits/training.py", "samebits/canonical.py"} <= found


def test_a_stage_does_not_depend_on_other_stages() -> None:
    assert not names("train.py") & {"load.py", "compare.py", "samebits/datasets.py"}


def test_a_modules_schema_and_template_are_part_of_it() -> None:
    assert "samebits/certificate.schema.json" in names("certify.py")
