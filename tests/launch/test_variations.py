"""The definitions of the variations, as far as they need no process."""

import json
import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from samebits.experiment.variations import UNKNOWN, of_environment, parse
from samebits.launch import namespaces, variations
from samebits.observation import environment, machine


def start(**environ: str) -> variations.Start:
    return variations.Start(Path("bin/python"), ["python"], dict(environ), ExitStack())


def told(*asked: str, **environ: str) -> dict[str, dict[str, str]]:
    """What a process is told about the variations that were asked for."""
    process = start(**environ)
    with process.ends:
        variations.apply(process, parse(list(asked)))
    return of_environment(process.environ)


def test_without_variations_the_process_learns_that() -> None:
    assert told() == {"applied": {}, "not_tried": {}}


@pytest.mark.parametrize(
    ("given", "expected"),
    [("0", "1"), ("41", "42"), ("4294967295", "0"), ("random", "1"), ("", "1")],
)
def test_the_hash_seed_becomes_the_next_one(given: str, expected: str) -> None:
    assert told("hash_seed", PYTHONHASHSEED=given)["applied"] == {"hash_seed": expected}


@pytest.mark.parametrize(
    ("present", "installed", "expected"),
    [
        ("C.UTF-8", "C C.utf8 POSIX", "C"),
        ("C", "C C.utf8 POSIX", "C.utf8"),
        ("POSIX", "C C.utf8 POSIX", "C.utf8"),
        ("C", "C POSIX", ""),
        ("C.UTF-8", "C.utf8", ""),
        ("en_US.UTF-8", "C C.utf8 de_DE.utf8 en_GB.utf8 en_US.utf8", "de_DE.utf8"),
        ("C", "C C.utf8 POSIX tr_TR.utf8", "tr_TR.utf8"),
        ("en_US.UTF-8", "C en_US.utf8", "C"),
        ("C.UTF-8", "C.utf8 ja_JP.eucjp", ""),
        ("LC_CTYPE=C.UTF-8, LC_TIME=C", "C C.utf8", "C"),
    ],
)
def test_another_language_is_preferred_to_another_c_locale(
    present: str, installed: str, expected: str
) -> None:
    assert variations.other_locale(present, installed.split()) == expected


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "C"),
        ({"LANG": "de_DE.UTF-8"}, "de_DE.UTF-8"),
        ({"LANG": "de_DE.UTF-8", "LC_ALL": "C"}, "C"),
        ({"LANG": "de_DE.UTF-8", "LC_ALL": ""}, "de_DE.UTF-8"),
    ],
)
def test_the_locale_is_what_the_c_library_would_take(
    environ: dict[str, str], expected: str
) -> None:
    assert environment.locale(environ) == expected


def test_locales_that_differ_in_their_names_alone_give_the_same_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    same = {"order of letters": "Bac", "decimal point": ".", "names of days": "Sunday"}
    for name in ("C", "C.UTF-8", "xx_YY.UTF-8"):
        monkeypatch.setenv("LC_ALL", name)
        expected = same if name.startswith("C") else dict.fromkeys(same, UNKNOWN)
        found = environment.observe(Path())["locale"]
        assert {way: answer for way, answer in found.items() if way != "name"} == expected


def test_a_locale_that_differs_between_categories_names_them() -> None:
    found = environment.locale({"LANG": "C", "LC_NUMERIC": "de_DE.UTF-8"})
    assert "LC_NUMERIC=de_DE.UTF-8" in found
    assert "LC_TIME=C" in found


@pytest.mark.process
def test_a_new_home_drops_what_points_into_the_old_one() -> None:
    given = {"HOME": "/home/me", "XDG_CACHE_HOME": "/home/me/.cache", "XDG_DATA_DIRS": "/usr/share"}
    process = start(**given)
    with process.ends:
        variations.apply(process, {"home": ""})
        home = Path(process.environ["HOME"])
        assert list(home.iterdir()) == []
        assert "XDG_CACHE_HOME" not in process.environ
        assert process.environ["XDG_DATA_DIRS"] == "/usr/share"
    assert not home.exists()


@pytest.mark.parametrize("name", ["host_name", "aslr", "folder", "directory_order"])
def test_what_the_kernel_does_not_permit_is_not_tried(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(namespaces, "attempt", lambda _: "Operation not permitted")
    monkeypatch.setattr(variations, "_tool", lambda *_: "tool")
    monkeypatch.setattr(os, "access", lambda *_: True)
    if name == "aslr":
        monkeypatch.setattr(environment, "aslr", lambda: "on")
    reason = told(name)["not_tried"][name]
    assert reason.endswith("permitted here (Operation not permitted)")


def test_what_needs_no_mount_is_varied_where_the_kernel_refuses_mounts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(namespaces, "attempt", lambda _: "Operation not permitted")
    process = start(HOME="/home/me")
    with process.ends:
        variations.apply(process, parse(["cpus", "home", "time_zone", "folder"]))
    found = of_environment(process.environ)
    assert set(found["applied"]) >= {"home", "time_zone"}
    assert set(found["not_tried"]) >= {"folder"}
    assert process.view.shown == []
    assert process.environ["HOME"] != "/home/me"


def test_fuse_without_its_device_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(variations, "_tool", lambda *_: "tool")
    reason = told("directory_order")["not_tried"]["directory_order"]
    assert reason == "FUSE is not permitted here (no access to its device)"


def test_fixed_addresses_are_not_tried_where_they_are_fixed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(environment, "aslr", lambda: "off")
    assert "off on this machine" in told("aslr")["not_tried"]["aslr"]


@pytest.mark.parametrize(
    ("checkpoint", "epochs", "flags", "expected"),
    [
        ("none", 3, [], "without trainer.checkpoint=epoch there is nothing to resume from"),
        ("epoch", 1, [], "after the only epoch there is nothing to resume"),
        ("epoch", 3, ["--epochs", "1"], "after the only epoch there is nothing to resume"),
        ("epoch", 3, [], None),
    ],
)
def test_a_kill_is_tried_where_an_epoch_is_left_to_resume(
    tmp_path: Path, checkpoint: str, epochs: int, flags: list[str], expected: str | None
) -> None:
    config, process = tmp_path / "config.json", start()
    config.write_text(json.dumps({"trainer": {"checkpoint": checkpoint, "epochs": epochs}}))
    process.command += ["--config", str(config), "--checkpoints", "there", *flags]
    variations.apply(process, {"interrupt": ""})
    assert of_environment(process.environ)["not_tried"].get("interrupt") == expected


@pytest.mark.parametrize(
    ("resumed", "epochs", "expected"),
    [
        (None, 3, "nothing resumed"),
        ([], 3, "nothing resumed"),
        ([0], 3, "nothing resumed"),
        ([3], 3, "nothing resumed"),
        ([1], 1, "nothing resumed"),
        ([1, 2, 3], 3, "resumed after epoch 1, 2"),
    ],
)
def test_only_what_is_followed_by_an_epoch_was_resumed(
    resumed: list[int] | None, epochs: int, expected: str
) -> None:
    checkpoints = None if resumed is None else {"resumed": resumed}
    assert environment.interruption(checkpoints, epochs) == expected


@pytest.mark.process
def test_the_description_names_neither_folders_nor_the_host() -> None:
    text = json.dumps(told("home", "folder", "umask", "variables", "time_zone"))
    for private in (str(Path.cwd()), str(Path.home()), os.uname().nodename, "samebits-"):
        assert private not in text


def test_absolute_paths_of_a_command_follow_a_folder_that_moves() -> None:
    moved = {Path("/a/b"): Path("/new/a/b"), Path("/c"): Path("/new/c")}
    given = ["--data", "data/a", "../b", "/a/b", "/a/b/c.npy", "/a", "/a/bc", "/c/d", "-x=/c", "1"]
    expected = [*given[:3], "/new/a/b", "/new/a/b/c.npy", "/a", "/a/bc", "/new/c/d", *given[8:]]
    assert [variations.elsewhere(word, moved) for word in given] == expected


def test_more_cpus_are_listed_like_the_last_one() -> None:
    information = "processor\t: 0\nmodel\t: a\n\nprocessor\t: 1\nmodel\t: b\n\nHardware\t: c\n"
    assert variations.with_cpus(information, variations._PROCESSOR, [2, 3]) == (
        "processor\t: 0\nmodel\t: a\n\nprocessor\t: 1\nmodel\t: b\n\n"
        "processor\t: 2\nmodel\t: b\n\nprocessor\t: 3\nmodel\t: b\n\nHardware\t: c\n"
    )
    statistics = "cpu  3 4\ncpu0 1 2\ncpu1 2 2\nbtime 7\n"
    assert variations.with_cpus(statistics, variations._CPU, [2]) == (
        "cpu  3 4\ncpu0 1 2\ncpu1 2 2\ncpu2 2 2\nbtime 7\n"
    )
    assert variations.with_cpus("no CPU is numbered\n", variations._CPU, [2]) == (
        "no CPU is numbered\n"
    )


def test_the_cpu_is_what_the_instruction_says_and_the_system_where_it_cannot_be_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mmap.mmap", _refuse)
    assert machine.describe_cpu() == machine.record()["cpu"]


def _refuse(*_: object, **__: object) -> None:
    raise PermissionError
