"""The page on digests: its commands print what it says; vectors that were written by hand."""

import base64
import hashlib
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.dsse import Envelope

from samebits.formats import canonical
from samebits.signing import keys

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/digests.md"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def cases(file: str) -> list[Any]:
    content = json.loads((ROOT / "tests/vectors" / f"{file}.json").read_text(encoding="utf-8"))
    return [pytest.param(case, id=case["what"]) for case in content["cases"]]


@pytest.mark.parametrize("case", cases("canonical"))
def test_canonical_json_is_that_of_the_vectors(case: Any) -> None:
    expected = (case["canonical"] + "\n").encode("utf-8")
    value = canonical.loads(case["json"].encode("utf-8"))
    assert canonical.dumps(value) == expected
    assert canonical.digest(value) == sha256(expected) == case["sha256"]


@pytest.mark.parametrize("case", cases("keys"))
def test_a_keys_id_is_the_digest_of_its_der_form(case: Any) -> None:
    raw = bytes.fromhex(case["raw"])
    assert sha256(bytes.fromhex("302a300506032b6570032100") + raw) == case["keyid"]
    assert keys.PublicKey(raw).keyid == case["keyid"]
    assert keys.from_text(case["base64"]).raw == raw


@pytest.mark.parametrize("case", cases("envelopes"))
def test_an_envelope_is_signed_over_its_pre_authentication_encoding(case: Any) -> None:
    body, kind = base64.b64decode(case["payload"]), case["payloadType"].encode()
    encoded = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(body), body)
    assert Envelope(body, case["payloadType"], {}).pae() == encoded
    assert encoded.hex() == case["encoding"]


@pytest.mark.process
def test_the_commands_on_the_page_print_what_the_page_says(tmp_path: Path) -> None:
    text = PAGE.read_text("utf-8")
    blocks = re.findall(r"^```console\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    compared = 0
    for block in blocks:
        lines = block.splitlines()
        commands = [line[2:] for line in lines if line.startswith("$ ")]
        expected = [line for line in lines if not line.startswith("$ ")]
        if expected:
            script = "\n".join(["set -euo pipefail", *commands])
            output = subprocess.check_output(["/bin/bash", "-c", script], text=True, cwd=tmp_path)
            assert output.splitlines() == expected
            compared += 1
    assert compared == 2
