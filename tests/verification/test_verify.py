"""verify.py as a stranger runs it: a command, a file that somebody sent, and nothing else."""

import functools
import json
import os
import re
import shlex
import subprocess
import sys
from contextlib import chdir
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

import attacks
import factories
import terminal
from factories import ISSUER
from in_process import stage
from samebits.formats import canonical, dataset, files

Json = Any
SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "verify.py"
MIB = 1 << 20


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-B", str(SCRIPT), *map(str, arguments)]


class Stranger:
    """Somebody with a home folder in which there is nothing."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.folder = folder / "elsewhere"
        for made in (self.home, self.folder):
            made.mkdir()
        self.key = factories.key_file(folder)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "SAMEBITS_"))}
        self.environ = kept | {"HOME": str(self.home), "TMPDIR": str(self.home)}

    def run(self, *arguments: object, **variables: str) -> attacks.Outcome:
        """verify.py in this process, with the stranger's variables and folder."""
        with patch.dict(os.environ, self.environ | variables, clear=True), chdir(self.folder):
            return attacks.run(*arguments)

    def verify(self, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
        """The same as a process of its own."""
        return subprocess.run(
            command(*arguments),
            cwd=self.folder,
            env=self.environ | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def give(self, content: Json) -> Path:
        """A certificate in the stranger's hands."""
        canonical.write_json(self.folder / "certificate.json", content)
        return self.folder / "certificate.json"

    def trust(self, text: str, home: Path | None = None) -> Path:
        path = (home or self.home / ".config") / "samebits" / "trusted_keys"
        path.parent.mkdir(parents=True)
        path.write_text(text)
        return path


@pytest.fixture
def stranger(tmp_path: Path) -> Stranger:
    return Stranger(tmp_path)


# --- what it says ------------------------------------------------------------------------------


def test_what_does_not_hold_says_where(stranger: Stranger, issued: Json) -> None:
    said = issued["report"] | {"verdict": "NOT REPRODUCIBLE"}
    path = stranger.give(factories.signed_again(issued, said, ISSUER))
    done = stranger.run(path, "--key", stranger.key)
    assert (done.code, done.err) == (1, "")
    assert done.out.startswith("DOES NOT HOLD  NOT REPRODUCIBLE")
    assert "they differ in: verdict" in done.out


def test_what_is_no_certificate_is_said_to_be_none(stranger: Stranger) -> None:
    (stranger.folder / "x.json").write_text("{}")
    done = stranger.run("x.json")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: ")


@pytest.mark.parametrize(
    ("expected", "trusted", "code"),
    [
        ("reproducible", True, 0),
        ("unsupported,reproducible", True, 0),
        ("not-reproducible", True, 4),
        ("not-reproducible", False, 3),  # whose verdict is nobody's is not compared
        ("reproduced", True, 2),
    ],
)
def test_another_verdict_than_the_expected_one_is_4_where_it_is_verified(
    stranger: Stranger, issued: Json, expected: str, trusted: bool, code: int
) -> None:
    key = ("--key", stranger.key) if trusted else ()
    done = stranger.run(stranger.give(issued), *key, "--expect", expected)
    assert done.code == code
    assert ("expected NOT REPRODUCIBLE, got REPRODUCIBLE" in done.err) == (code == 4)
    assert ("no such verdict 'reproduced'; valid: reproducible," in done.err) == (code == 2)


@pytest.mark.parametrize("flags", [(), ("--trust", "mine alone")])
def test_a_valid_certificate_by_an_unknown_key_is_3_and_says_what_to_run(
    stranger: Stranger, flags: tuple[str, ...]
) -> None:
    path = factories.samples() / "reproducible.json"
    (stranger.folder / "mine alone").write_text("")
    done = stranger.run(path, *flags)
    assert (done.code, done.err) == (3, "")
    file = stranger.folder / flags[1] if flags else stranger.home / ".config/samebits/trusted_keys"
    assert f"adds the key to {file if not flags else flags[1]}\n" in done.out
    program, *words = shlex.split(next(x for x in done.out.splitlines() if "samebits trust" in x))
    assert Path(stranger.folder, program).resolve() == SCRIPT.parents[1] / "samebits"
    words[words.index("NAME")] = "alice"
    with patch.dict(os.environ, stranger.environ, clear=True), chdir(stranger.folder):
        assert stage(*words, "--id", ISSUER.keyid).returncode == 0
    assert file.read_text() == f"alice ed25519 {ISSUER.public.text}\n"
    done = stranger.run(path, *flags)
    assert done.code == 0
    assert "signed by alice" in done.out


def test_a_key_that_is_not_the_named_one_is_not_offered_for_the_trust_file(
    stranger: Stranger, tmp_path: Path
) -> None:
    other = factories.key_file(tmp_path, "other")
    done = stranger.run(factories.samples() / "reproducible.json", "--key", other)
    assert (done.code, "NAME" in done.out) == (3, False)
    assert "not in the files that you named with --key" in done.out


def test_what_is_unsigned_is_3_and_says_so_first(stranger: Stranger) -> None:
    done = stranger.run(factories.samples() / "unsigned.json")
    assert (done.code, done.out.splitlines()[0]) == (3, "UNSIGNED  REPRODUCIBLE  default")
    assert "  signature  UNSIGNED: anyone could have made it\n" in done.out
    assert done.out.endswith(f"samebits replay {factories.samples() / 'unsigned.json'}\n")
    assert "NAME" not in done.out


def test_what_is_unsupported_says_what_was_refused_and_what_to_do(
    stranger: Stranger, tmp_path: Path
) -> None:
    space = factories.workspace(tmp_path / "space")
    for position in (0, 1):
        space.refuse(position)
    path = stranger.give(factories.certify(space.compare(), None))
    assert "replay" not in stranger.run(path).out, "it would be refused"
    path = stranger.give(factories.certify(space, ISSUER))
    done = stranger.run(path, "--key", stranger.key)
    assert (done.code, done.out.splitlines()[0]) == (0, "VERIFIED  UNSUPPORTED  default")
    assert "  refused    control: TensorFlow refused an op without a deterministic" in done.out
    assert "  remedy     FakeQuantWithMinMaxVarsGradient: replace the op" in done.out
    assert "replay" not in done.out


def test_the_chain_is_told(stranger: Stranger) -> None:
    keys = (
        "--key",
        factories.samples() / "issuer.pub",
        "--key",
        factories.samples() / "laboratory.pub",
    )
    done = stranger.run(factories.samples() / "replayed.json", *keys)
    assert done.code == 0
    assert re.search(
        r"certified  .* by issuer\.pub on AMD EPYC 9R45, Linux .*: REPRODUCIBLE", done.out
    )
    assert re.search(
        r"replayed   .* by laboratory\.pub on AMD EPYC 9R45, Linux .*: REPRODUCED", done.out
    )
    assert re.search(r"replayed .* UNSIGNED on Another CPU, Linux .*: NOT REPROD", done.out)
    assert "outside its scope: the certificate pins AVX2" in done.out


@pytest.mark.parametrize(
    ("name", "code", "result"),
    [
        ("reproducible.zip", 0, "VERIFIED"),
        ("replayed.json", 0, "VERIFIED"),
        ("unsigned.json", 3, "UNSIGNED"),
    ],
)
def test_json_says_the_same(stranger: Stranger, name: str, code: int, result: str) -> None:
    done = stranger.run(factories.samples() / name, "--key", stranger.key, "--json")
    found = json.loads(done.out)
    assert (done.code, found["code"], found["result"]) == (code, code, result)
    assert all(check["holds"] for check in found["checks"])
    assert found["verdict"] == "REPRODUCIBLE"


def test_json_says_what_does_not_hold(stranger: Stranger, issued: Json) -> None:
    path = stranger.give(issued | {"signature": "UNSIGNED"})
    done = stranger.run(path, "--json")
    found = json.loads(done.out)
    assert done.code == 1
    failed = [check["level"] for check in found["checks"] if not check["holds"]]
    assert failed == ["signature"]


# --- keys --------------------------------------------------------------------------------------


def test_the_trust_file_is_that_of_the_config_home(stranger: Stranger, tmp_path: Path) -> None:
    stranger.trust(f"alice ed25519 {ISSUER.public.text}\n", tmp_path / "config")
    path = factories.samples() / "reproducible.json"
    assert stranger.run(path).code == 3
    assert stranger.run(path, XDG_CONFIG_HOME=str(tmp_path / "config")).code == 0
    assert stranger.run(path, XDG_CONFIG_HOME="../config").code == 3  # relative


def test_a_malformed_trust_file_names_the_line(stranger: Stranger) -> None:
    path = stranger.trust(f"alice ed25519 {ISSUER.public.text}\nbob ed25519 \x1b[2J\n")
    done = stranger.run(factories.samples() / "reproducible.json")
    assert (done.code, done.out) == (2, "")
    assert f"{path}:2: expected NAME ed25519 BASE64" in done.err
    assert "\x1b" not in done.err


def test_a_trust_file_that_was_named_must_be_there(stranger: Stranger) -> None:
    """Else a misspelt path would look like a certificate by a stranger."""
    done = stranger.run(factories.samples() / "reproducible.json", "--trust", "missing")
    assert (done.code, done.out) == (2, "")
    assert "no such trust file" in done.err


def test_a_key_that_is_named_is_trusted_alone(stranger: Stranger, tmp_path: Path) -> None:
    stranger.trust(f"alice ed25519 {ISSUER.public.text}\n")
    other = factories.key_file(tmp_path, "other")
    path = factories.samples() / "reproducible.json"
    assert stranger.run(path).code == 0
    assert stranger.run(path, "--key", other).code == 3
    assert stranger.run(path, "--key", other, "--key", stranger.key).code == 0


@pytest.mark.parametrize("flags", [["--key", "missing.pub"], ["--key", "."], ["--unknown"], []])
def test_wrong_usage_is_2(stranger: Stranger, flags: list[str]) -> None:
    given = [factories.samples() / "reproducible.json", *flags] if flags else []
    done = stranger.run(*given)
    assert (done.code, done.out) == (2, "")
    assert "Traceback" not in done.err


# --- what is hostile is shown as text ------------------------------------------------------------

EVIL = "\x1b[2J\x1b]0;owned\x07\u202e🙂"


@pytest.fixture
def evil(stranger: Stranger, issued: Json) -> Path:
    """A certificate that holds, and whose names would steer a terminal."""
    said = factories.copied(issued["report"])
    said["experiment"]["name"], said["how_to_repeat"] = EVIL, [EVIL]
    return stranger.give(factories.signed_again(issued, said, ISSUER))


def test_names_steer_no_terminal(stranger: Stranger, evil: Path) -> None:
    for flags in ((), ("--json",), ("--artifacts", stranger.folder)):
        done = stranger.run(evil, "--key", stranger.key, *flags)
        assert done.code == (1 if "--artifacts" in flags else 0)
        shown = done.out + done.err
        assert not set(shown) & set("\x1b\x07\u202e"), flags


@pytest.mark.process
def test_a_terminal_is_shown_this_programs_colors_alone(stranger: Stranger, evil: Path) -> None:
    done = terminal.run(command(evil, "--key", stranger.key), stranger.environ)
    assert done.code == 0
    assert re.findall(rb"\x1b[^m]*m?", done.shown) == [b"\x1b[1;32m", b"\x1b[0m"]


@pytest.mark.process
def test_any_name_can_be_shown_in_ascii(stranger: Stranger, evil: Path) -> None:
    done = stranger.verify(evil, "--key", stranger.key, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.process
def test_a_reader_that_leaves_early_is_no_verified_certificate(stranger: Stranger) -> None:
    done = subprocess.run(
        ["sh", "-c", '"$@" > /dev/full', "sh", *command(factories.samples() / "unsigned.json")],  # noqa: S607
        cwd=stranger.folder,
        env=stranger.environ,
        capture_output=True,
        check=False,
    )
    assert done.returncode != 0


# --- what it does not do -------------------------------------------------------------------------

# Tells of everything that a process opens to write, connects to or starts.
WATCH = """
import os, sys
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
EVENTS = ("socket.", "subprocess.", "os.exec", "os.posix_spawn", "os.system", "os.fork",
          "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.link", "os.symlink", "os.chmod",
          "os.truncate", "os.utime", "shutil.", "tempfile.", "urllib.", "ftplib.", "http.",
          "pickle.", "webbrowser.")
def watch(event, arguments):
    wrote = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES
    if wrote or event.startswith(EVENTS):
        os.write(2, f"WATCHED {event} {arguments!r}\\n".encode())
sys.addaudithook(watch)
"""


def tree(*folders: Path) -> list[str]:
    return sorted(str(path) for folder in folders for path in folder.rglob("*"))


def watched(folder: Path, code: str) -> list[str]:
    """The command that runs a program and tells what it opens, connects to and starts."""
    (folder / "watch.py").write_text(f"{WATCH}\n{code}")
    return [sys.executable, "-B", str(folder / "watch.py")]


@pytest.mark.process
def test_what_watches_sees(tmp_path: Path) -> None:
    """The test below could not fail if the watching did not work."""
    code = "import socket, subprocess; open('x', 'w'); socket.socket(); subprocess.call(['true'])"
    done = subprocess.run(
        watched(tmp_path, code), cwd=tmp_path, capture_output=True, text=True, check=True
    )
    for event in ("open", "socket.__new__", "subprocess.Popen"):
        assert f"WATCHED {event} " in done.stderr


# Verifies one certificate after the other, as a command would, and lists what was imported.
EACH = f"""
import runpy
sys.path.insert(0, {str(SCRIPT.parent)!r})
for arguments in {{given!r}}:
    sys.argv = [{str(SCRIPT)!r}, *arguments]
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as ended:
        print("ENDED", ended.code)
print("IMPORTED", *sorted({{{{name.partition(".")[0] for name in sys.modules}}}}))
"""


@pytest.mark.process
def test_nothing_is_written_connected_to_started_or_imported_that_trains_or_renders(
    stranger: Stranger, tmp_path: Path
) -> None:
    """In a network namespace in which there is nothing, where one may make one."""
    (tmp_path / "watch").mkdir()
    key, samples = str(stranger.key), factories.samples()
    given = [
        [str(samples / "reproducible.zip"), "--key", key],
        [str(samples / "replayed.json"), "--key", key],
        [str(samples / "unsigned.json")],  # with a trust file that is not there
    ]
    command = [*without_network(), *watched(tmp_path / "watch", EACH.format(given=given))]
    done = subprocess.run(
        command, cwd=stranger.folder, env=stranger.environ, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    *said, last = done.stdout.splitlines()
    assert [line for line in said if line.startswith("ENDED")] == ["ENDED 0", "ENDED 0", "ENDED 3"]
    levels = [line.split()[:2] for line in said[1:5]]
    expected = ("signature", "statement", "claim", "artifacts")
    assert (said[0], levels) == (
        "VERIFIED  REPRODUCIBLE  default", [[level, "ok:"] for level in expected],
    )  # fmt: skip
    assert [path for folder in (stranger.home, stranger.folder) for path in folder.iterdir()] == []
    imported = set(last.split()[1:])
    assert {"samebits", "cryptography", "securesystemslib"} <= imported
    unwanted = {"snakemake", "tensorflow", "keras", "hydra", "omegaconf", "rocrate", "requests"}
    assert not imported & (unwanted | {"jinja2", "matplotlib", "psutil"})


@functools.cache
def without_network() -> list[str]:
    """What starts a command in a network namespace in which there is nothing."""
    for flags in ("-rn", "-n"):
        for tool in ("/usr/bin/unshare", "/bin/unshare"):
            starter = [tool, flags]
            try:
                if subprocess.run([*starter, "true"], capture_output=True, check=False).returncode:
                    continue
            except OSError:
                continue
            return starter
    return []


@pytest.mark.process
@pytest.mark.skipif(not without_network(), reason="no permission to make a network namespace")
def test_there_is_no_network_where_it_is_tested() -> None:
    probe = "import socket; socket.create_connection(('1.1.1.1', 53), 1)"
    command = [*without_network(), sys.executable, "-c", probe]
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


# --- what it costs -------------------------------------------------------------------------------


# By a small process: after fork and exec, Linux counts what the parent had as the child's.
MEASURE = """
import os, sys
process = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, used = os.wait4(process, 0)
print(os.waitstatus_to_exitcode(status), used.ru_maxrss)
"""


def peak(stranger: Stranger, *arguments: object) -> tuple[int, int]:
    """The exit code, and the most memory in bytes."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *command(*arguments)],
        cwd=stranger.folder,
        env=stranger.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    code, kibibytes = done.stdout.splitlines()[-1].split()
    return int(code), int(kibibytes) << 10


@pytest.mark.process
def test_a_large_array_takes_little_memory(stranger: Stranger, tmp_path: Path) -> None:
    """220 MiB of zeros, which are a hole in a file."""
    data = tmp_path / "data"
    data.mkdir()
    bias = factories.weights()[1][1]
    entries = dataset.write(data, {"x_train": bias, "y_train": bias})
    os.truncate(data / "x_train.npy", 220 * MIB)
    entries[0]["sha256"] = files.digest(data / "x_train.npy")
    digest = canonical.write_json(data / "index.json", dataset.index(entries))
    load = factories.load_record() | {"arrays": entries, "digest": digest}
    content = factories.certify(factories.workspace(tmp_path / "space", load=load), ISSUER)
    code, memory = peak(stranger, stranger.give(content), "--key", stranger.key, "--data", data)
    assert code == 0
    assert memory < 200 * MIB


@pytest.mark.process
@pytest.mark.parametrize("start", [b"[", b"PK\x03\x04"])
def test_a_gigabyte_takes_little_memory(stranger: Stranger, tmp_path: Path, start: bytes) -> None:
    path = tmp_path / "large"
    path.write_bytes(start)
    os.truncate(path, 1 << 30)
    code, memory = peak(stranger, path)
    assert code == 2
    assert memory < 200 * MIB
