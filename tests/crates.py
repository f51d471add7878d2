"""A results' folder with its certificate, as the stage crate finds it: no training, no key."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import certificates
import factories
from samebits.formats import canonical, files
from samebits.pages import charts

KEYID = "ab" * 32


@dataclass(frozen=True)
class Results:
    """Paths of one experiment whose certificate has been issued."""

    folder: Path
    certificate: Path
    page: Path
    badge: Path
    locks: tuple[Path, ...]
    workflow: Path

    def content(self) -> Any:
        """The certificate."""
        return canonical.read_json(self.certificate)

    def edit(self, **changes: Any) -> None:
        """Change parts of the report."""
        content = self.content()
        canonical.write_json(self.certificate, content | {"report": content["report"] | changes})


def make(base: Path, keyid: str | None = None, **replica: Any) -> Results:
    """Equal runs, unless ``replica`` says otherwise; signed when there is a key, at least in words.

    Locks and the record of the data lie outside the results' folder, as they do in a workflow.
    """
    space = factories.workspace(base / "results" / "default", **replica)
    locks = (base / "envs" / "load.lock.txt", base / "envs" / space.lock.name)
    locks[0].parent.mkdir()
    locks[0].write_text(factories.LOCK.replace("tensorflow-cpu", "pillow"))
    shutil.copy(space.lock, locks[1])
    workflow = base / "Snakefile"
    workflow.write_text("rule all:\n")
    built = factories.report_of(
        space,
        overridden=(),
        dependencies={
            "envs/load.lock.txt": files.digest(locks[0]),
            "Snakefile": files.digest(workflow),
        },
        keyid=keyid,
    )
    space.lock.unlink()
    shutil.rmtree(space.load_record.parent)
    return _certified(space.folder, built, locks, workflow)


def _certified(
    folder: Path, built: dict[str, Any], locks: tuple[Path, ...], workflow: Path
) -> Results:
    certificate, page = folder / "certificate.json", folder / "certificate.html"
    content = certificates.unsigned(built)
    canonical.write_json(certificate, content)
    page.write_text("<!doctype html>")
    (folder / "certificate.zip").write_bytes(b"PK")
    picture = folder / "badge.svg"
    picture.write_text(charts.badge(content))
    return Results(folder, certificate, page, picture, locks, workflow)
