"""Certificates are read strictly: one file has one form, and hostile bytes cost little."""

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import factories
from samebits.certificate import certificate, schema
from samebits.certificate.schema import MalformedError
from samebits.formats import canonical
from samebits.formats.names import MOST_BYTES
from samebits.signing import keys

Json = Any
SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture(scope="module")
def issued() -> Json:
    """A certificate with a replay by another key."""
    return factories.replayed(factories.issued())


def refusal(data: bytes) -> str:
    with pytest.raises(MalformedError) as refused:
        certificate.parse(data)
    return str(refused.value)


def changed(issued: Json, change: Callable[[Json], object]) -> str:
    """Why a certificate is refused after a change."""
    copy = factories.copied(issued)
    change(copy)
    return refusal(canonical.dumps(copy))


# --- issuing -----------------------------------------------------------------------------------


def test_what_is_issued_is_read(issued: Json) -> None:
    assert certificate.parse(canonical.dumps(issued)) == issued


def test_the_schema_is_one_and_says_what_is_issued(issued: Json) -> None:
    for name in (schema.CERTIFICATE, schema.REPORT):
        jsonschema.Draft202012Validator.check_schema(schema.load(name))
    assert list(schema.violations(issued, schema.CERTIFICATE)) == []


def test_a_certificate_carries_the_keys_that_signed_and_no_others(issued: Json) -> None:
    keyids = {factories.signer().keyid, factories.signer("laboratory").keyid}
    assert set(issued["keys"]) == keyids


def test_without_a_key_nothing_is_signed_and_it_says_so(tmp_path: Path) -> None:
    made = factories.certify(factories.workspace(tmp_path), None)
    assert made["signature"] == "UNSIGNED"
    assert made["keys"] == {}
    assert [sealed["signatures"] for sealed in made["statements"]] == [[], []]
    assert certificate.parse(canonical.dumps(made)) == made


def test_a_replay_leaves_what_was_issued_as_it_was(issued: Json) -> None:
    again = factories.replayed(issued, factories.signer("other"))
    assert again["replays"][:1] == issued["replays"]
    assert {k: again[k] for k in ("report", "statements")} == {
        k: issued[k] for k in ("report", "statements")
    }
    assert set(issued["keys"]) < set(again["keys"])


def test_signing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    space = factories.workspace(tmp_path)
    made = [canonical.dumps(factories.certify(space, factories.signer())) for _ in range(2)]
    assert made[0] == made[1]


# --- bytes that are no certificate -------------------------------------------------------------

HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "a line feed": b"\n",
    "null": b"null\n",
    "a list": b"[]\n",
    "a number": b"0\n",
    "an empty object": b"{}\n",
    "a byte order mark": b"\xef\xbb\xbf{}\n",
    "UTF-16": "{}\n".encode("utf-16"),
    "not UTF-8": b'{"format":"\xff"}\n',
    "zero bytes": bytes(4096),
    "a key twice": b'{"format":"samebits-certificate-1","format":"samebits-certificate-1"}\n',
    "a key twice, once escaped": b'{"a":1,"\\u0061":1}\n',
    "NaN": b'{"format":NaN}\n',
    "Infinity": b'{"format":-Infinity}\n',
    "a number beyond float64": b'{"format":1e999}\n',
    "an integer of 10,000 digits": b'{"format":1' + b"0" * 10_000 + b"}\n",
    "half a surrogate pair": b'{"format":"\\ud800"}\n',
    "half a surrogate pair in a key": b'{"\\udfff":0}\n',
    "nested lists": b"[" * 100_000 + b"]" * 100_000,
    "nested objects": b'{"a":' * 100_000 + b"0" + b"}" * 100_000,
    "nested and cut off": b"[" * 1_000_000,
    "two values": b"{}\n{}\n",
    "a comment": b"{} // x\n",
    "single quotes": b"{'a':1}\n",
    "a control character": b'{"a":"\x00"}\n',
}


@pytest.mark.parametrize("what", HOSTILE)
def test_other_bytes_are_refused(what: str) -> None:
    assert refusal(HOSTILE[what]).startswith(("expected a certificate", "certificate: at $"))


def test_a_certificate_cut_off_anywhere_is_refused(issued: Json) -> None:
    data = canonical.dumps(issued)
    for length in [*range(0, len(data), 509), len(data) - 2, len(data) - 1]:
        refusal(data[:length])


def test_one_byte_more_than_there_may_be_is_refused_by_its_size() -> None:
    assert "at most 12 MiB" in refusal(b" " * (MOST_BYTES + 1))


@pytest.mark.parametrize(
    "spell",
    [
        lambda c: json.dumps(c).encode(),
        lambda c: json.dumps(c, indent=2).encode(),
        lambda c: canonical.dumps(c)[:-1],
        lambda c: canonical.dumps(c) + b"\n",
        lambda c: canonical.dumps(c).replace(b"REPRODUCIBLE", b"\\u0052EPRODUCIBLE", 1),
        lambda c: canonical.dumps(c).replace(b":255.0", b":2.55e2", 1),
        lambda c: canonical.dumps(dict(reversed(c.items()))).replace(b'{"', b'{ "', 1),
        lambda c: json.dumps(dict(reversed(c.items())), separators=(",", ":")).encode() + b"\n",
    ],
)
def test_another_spelling_of_the_same_certificate_is_refused(
    issued: Json, spell: Callable[[Json], bytes]
) -> None:
    assert "not in canonical form" in refusal(spell(issued))


@pytest.mark.parametrize("depth", [1, 25, *range(41, 120, 5), 320, 490, *range(960, 1000)])
def test_nesting_that_python_could_still_read_is_refused(issued: Json, depth: int) -> None:
    nested: Json = []
    for _ in range(depth):
        nested = [nested]
    copy = factories.copied(issued)
    copy["report"]["records"]["runs"]["control"]["machine"]["gpu"] = {"nested": nested}
    try:
        data = canonical.dumps(copy)
    except RecursionError:  # whoever writes it has more stack; so deep it goes wrong at once
        data = canonical.dumps(issued)[:-2] + b"[" * depth
    if depth > 40:
        refusal(data)
    else:
        certificate.parse(data)


# --- JSON that is no certificate ---------------------------------------------------------------


def sealed(copy: Json) -> Json:
    return copy["statements"][0]


def respelled(sealed: Json, spell: Callable[[str], str]) -> None:
    sealed["payload"] = spell(sealed["payload"])


@pytest.mark.parametrize(
    "spell",
    [
        lambda text: text + "\n",
        lambda text: text[:76] + "\n" + text[76:],
        lambda text: " " + text,
        lambda text: text + "=",
        lambda text: text + "====",
        lambda text: text[:-1],
        lambda text: text[:-4] + "!!!!",
        lambda text: text[:9] + "*" + text[9:],
        lambda text: base64.urlsafe_b64encode(base64.b64decode(text) + b"\xff\xff\xff").decode(),
        lambda text: base64.b64decode(text).hex() + "0",
        lambda text: text.replace("A", "Ａ", 1),  # fullwidth
    ],
)
def test_base64_has_one_spelling(issued: Json, spell: Callable[[str], str]) -> None:
    said = changed(issued, lambda copy: respelled(sealed(copy), spell))
    assert "not base64" in said
    said = changed(issued, lambda copy: respelled(copy["replays"][0]["statement"], spell))
    assert "not base64" in said


def test_the_last_bits_of_base64_are_not_free(issued: Json) -> None:
    def change(copy: Json) -> None:
        signature = sealed(copy)["signatures"][0]
        assert signature["sig"].endswith("==")
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        last = letters[letters.index(signature["sig"][-3]) ^ 1]
        signature["sig"] = signature["sig"][:-3] + last + "=="

    assert "not base64" in changed(issued, change)


FORMS: dict[str, Callable[[Json], object]] = {
    "another format": lambda c: c.update(format="samebits-certificate-2"),
    "another key": lambda c: c.update(more=1),
    "no statement": lambda c: c.update(statements=[]),
    "one statement": lambda c: c["statements"].pop(),
    "three statements": lambda c: c["statements"].append(c["statements"][0]),
    "another payload type": lambda c: sealed(c).update(payloadType="text/plain"),
    "two signatures": lambda c: sealed(c)["signatures"].append(sealed(c)["signatures"][0]),
    "more in an envelope": lambda c: sealed(c).update(extensions=[]),
    "more in a signature": lambda c: sealed(c)["signatures"][0].update(cert="x"),
    "neither signed nor unsigned": lambda c: c.update(signature="PARTLY"),
    "report of another format": lambda c: c["report"].update(format="samebits-report-2"),
    "replay of another format": lambda c: c["replays"][0]["report"].update(format="other"),
    "a replay's record": lambda c: c["replays"][0]["report"]["record"].update(status="fine"),
    "a replay's divergence": lambda c: c["replays"][0]["report"].update(divergence={"a": 1}),
    "a replay's moment": lambda c: c["replays"][0]["report"].update(issued="2026-13-01T00:00:00Z"),
    "a moment with more": lambda c: c["replays"][0]["report"].update(
        issued="2026-11-24T09:30:00Z\n"
    ),
    "digits of another script": lambda c: c["report"].update(issued="٢٠٢٦-11-24T09:30:00Z"),
    "a commit with more": lambda c: c["report"]["source"].update(commit="0" * 40 + "\n"),
    "a digest with more": lambda c: c["report"]["experiment"].update(digest="0" * 64 + "\n"),
    "more in the report": lambda c: c["report"].update(indices={}),
    "data that would lie elsewhere": lambda c: c["report"]["records"]["load"]["arrays"][0].update(
        name="../x"
    ),
    "a process in capitals": lambda c: c["replays"][0]["report"]["record"]["process"].update(
        id="ABCDEF01-0000-5000-8000-000000000000"
    ),
    "a negative duration": lambda c: c["report"]["records"]["runs"]["control"]["timing"].update(
        seconds=-1.0
    ),
    "too many replays": lambda c: c.update(replays=c["replays"] * 101),
}


@pytest.mark.parametrize("what", FORMS)
def test_another_form_is_refused(issued: Json, what: str) -> None:
    assert "at $" in changed(issued, FORMS[what])


def test_everything_that_is_wrong_is_said(issued: Json) -> None:
    said = changed(issued, lambda c: c.update(format="x", signature="y", more=1))
    assert len(said.splitlines()) == 3


# --- keys --------------------------------------------------------------------------------------


def other_key() -> keys.PublicKey:
    return factories.signer("nobody").public


@pytest.mark.parametrize(
    "change",
    [
        lambda known: known.popitem(),
        lambda known: known.clear(),
        lambda known: known.update({other_key().keyid: other_key().text}),
        lambda known: known.update(
            {factories.signer().keyid: other_key().text}
        ),  # one id, two keys
        lambda known: known.update(
            {factories.signer().keyid: base64.b64encode(b"x" * 31).decode()}
        ),
        lambda known: known.update({factories.signer().keyid: "?" * 44}),
    ],
)
def test_keys_are_those_that_signed_by_the_ids_that_they_have(
    issued: Json, change: Callable[[Json], object]
) -> None:
    assert "key" in changed(issued, lambda copy: change(copy["keys"]))


# --- what hostile bytes cost ---------------------------------------------------------------------


@pytest.mark.process
@pytest.mark.parametrize(
    "path",
    [
        ("replays", 0, "report", "record", "settings"),
        *(
            pytest.param(path, marks=pytest.mark.slow)
            for path in (
                ("report", "reasons"),
                ("statements",),
                ("report", "records", "runs", "control", "unpinned"),
                ("report", "records", "load", "arrays"),
                ("report", "comparisons", 0, "canary", "tensors"),
                ("replays", 0, "report", "outside_scope"),
                ("report", "experiment", "config", "protocol", "alone"),
                ("keys",),
            )
        ),
    ],
)
def test_a_million_errors_cost_little_memory(issued: Json, tmp_path: Path, path: Any) -> None:
    copy = part = factories.copied(issued)
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = [0] * 1_000_000
    (tmp_path / "hostile.json").write_bytes(canonical.dumps(copy))
    assert peak_of_parsing(tmp_path / "hostile.json") < 600 << 20


def peak_of_parsing(path: Path) -> int:
    """The most memory, in bytes, of a process that refuses a file."""
    code = f"""
import resource, sys
sys.path.insert(0, {str(SCRIPTS)!r})
from samebits.certificate import certificate
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
try:
    certificate.parse(open({str(path)!r}, "rb").read())
except certificate.MalformedError as error:
    assert len(str(error)) < 1 << 20
    status = open("/proc/self/status").read()  # not getrusage, which counts the parent's as well
    print(int(status.split("VmHWM:")[1].split()[0]) << 10)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stdout)
