"""A certificate commits to the state after each epoch, and what is handed on is held to that."""

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import bundle as bundle_script
import factories
from factories import Workspace
from samebits.formats import bundle, canonical, states
from samebits.pages import certificate as page
from samebits.verification import artifacts, levels

KEPT = "train/control/checkpoints"


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Any]:
    space = factories.with_checkpoints(tmp_path_factory.mktemp("kept"))
    return space, factories.certify(space, factories.signer())


def checked(folder: Path, content: Any, whole: bool) -> str:
    """What is wrong with the files of a folder, or with the same in a bundle."""
    if whole:
        files = [path for path in folder.rglob("*") if path.is_file()]
        names = {path.relative_to(folder).as_posix(): path for path in files}
        bundle.write(folder / "made.zip", names)
    with artifacts.opened(folder / "made.zip" if whole else folder) as found:
        return "\n".join(artifacts.check(content["report"], found, whole).problems)


def copied(issued: tuple[Workspace, Any], folder: Path) -> Path:
    """All that a bundle of it holds, as a folder."""
    for name, path in issued[0].named().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / name)
    (folder / "certificate.json").write_bytes(b"{}")
    return folder


def test_the_claim_and_the_page_say_what_is_committed_to(issued: tuple[Workspace, Any]) -> None:
    _, content = issued
    digests = content["report"]["records"]["runs"]["control"]["checkpoints"]["digests"]
    root = states.root(digests)
    claim = json.loads(base64.b64decode(content["statements"][0]["payload"]))
    (attribute,) = claim["predicate"]["attributes"]
    assert attribute["conditions"]["checkpoints"] == {"epochs": 3, "root": root}
    assert {"name": "checkpoints", "digest": {"sha256": root}} in claim["subject"]
    shown = page.render(content)
    assert "one digest of 3 epochs" in shown
    assert root in shown
    assert levels.verify(content, []).code == levels.NOT_TRUSTED


def test_a_certificate_without_checkpoints_says_nothing_of_them(tmp_path: Path) -> None:
    content = factories.certify(factories.workspace(tmp_path), factories.signer())
    claim = base64.b64decode(content["statements"][0]["payload"]).decode()
    assert "checkpoints" not in claim
    assert "one digest of" not in page.render(content)


def test_another_list_or_root_does_not_hold(issued: tuple[Workspace, Any]) -> None:
    _, content = issued
    changes: list[Callable[[Any], Any]] = [
        lambda found: found.update(root="0" * 64),
        lambda found: found["digests"].reverse(),
        lambda found: found["digests"].pop(0),
    ]
    for change in changes:
        said = factories.copied(content["report"])
        for run in ("control", "replica"):
            change(said["records"]["runs"][run]["checkpoints"])
        forged = factories.signed_again(content, said, factories.signer())
        assert levels.verify(forged, []).code == levels.DOES_NOT_HOLD


def _flip(folder: Path) -> None:
    path = folder / KEPT / "0002" / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def _swap(folder: Path) -> None:
    first, second = (folder / KEPT / name for name in ("0001", "0002"))
    first.rename(folder / "aside")
    second.rename(first)
    (folder / "aside").rename(second)


def _made_again(folder: Path) -> None:
    """A sound state, but another one."""
    shutil.rmtree(folder / KEPT / "0002")
    shutil.copytree(folder / KEPT / "0001", folder / KEPT / "0002")


Change = Callable[[Path], Any]
FAULTS: dict[str, tuple[Change, tuple[str, ...]]] = {
    "none": (lambda folder: None, ()),
    "flipped bit": (_flip, (f"{KEPT}/0002/weights.safetensors: expected",)),
    "missing": (
        lambda folder: shutil.rmtree(folder / KEPT / "0001"),
        (f"{KEPT}/0001/weights.safetensors: missing",),
    ),
    "missing part": (
        lambda folder: (folder / KEPT / "0003" / "optimizer.safetensors").unlink(),
        (f"{KEPT}/0003/optimizer.safetensors: missing",),
    ),
    "swapped": (
        _swap,
        (f"{KEPT}/0001/optimizer.safetensors: exp", f"{KEPT}/0002/optimizer.safetensors: exp"),
    ),
    "made again": (_made_again, (f"{KEPT}/0002/optimizer.safetensors: expected",)),
    "one too many": (
        lambda folder: shutil.copytree(folder / KEPT / "0001", folder / KEPT / "0004"),
        (f"{KEPT}/0004/weights.safetensors: not in the certificate",),
    ),
    "another file": (
        lambda folder: (folder / KEPT / "0001" / "more").write_bytes(b"1"),
        (f"{KEPT}/0001/more: not in the certificate",),
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("whole", [False, True])
def test_a_checkpoint_that_is_not_the_certificates_is_named(
    issued: tuple[Workspace, Any], tmp_path: Path, fault: str, whole: bool
) -> None:
    folder = copied(issued, tmp_path / "given")
    plant, said = FAULTS[fault]
    plant(folder)
    problems = checked(folder, issued[1], whole)
    assert all(part in problems for part in said)
    assert bool(problems) == bool(said)


def test_the_bundle_holds_the_states_and_refuses_others(
    issued: tuple[Workspace, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space, content = issued
    shutil.copytree(space.folder, tmp_path / "given")
    given = tmp_path / "given"
    certificate, output = given / "certificate.json", given / "certificate.zip"
    canonical.write_json(certificate, content)
    flags: list[object] = [
        "--config", given / "config.json", "--lock", given / space.lock.name,
        "--load-record", given / "load" / "record.json", "--certificate", certificate,
        "--run", given / "train" / "control", "--run", given / "train" / "replica",
        "--comparison", given / "compare" / "replica.json", "--output", output,
    ]  # fmt: skip
    monkeypatch.setattr("sys.argv", ["bundle.py", *map(str, flags)])
    assert bundle_script.main() == 0
    with artifacts.opened(output) as found:
        assert {f"{KEPT}/0001/weights.safetensors", f"{KEPT}/0003/optimizer.safetensors"} <= set(
            found.names()
        )
        assert artifacts.check(content["report"], found, whole=True).problems == ()
    _swap(given)
    with pytest.raises(bundle.BundleError, match=r"0001/optimizer\.safetensors: .*"):
        bundle_script.main()
