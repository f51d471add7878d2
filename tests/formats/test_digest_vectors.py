"""The digests' test vectors, and a second implementation that agrees on them.

Below is an implementation from docs/digests.md alone, with the standard library's ``struct`` and
``hashlib``: neither samebits nor NumPy has a part in it. In tests/vectors, what is digested was
written by hand and the digests were taken by this second implementation. They are never written
by a test, so an accidental change of a definition fails here twice.
"""

import base64
import hashlib
import json
import re
import struct
import subprocess
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samebits.formats import arrays, canonical, history
from samebits.training import fingerprint

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/digests.md"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# --- the second implementation: canonical JSON -----------------------------------------------


def canonical_json(value: Any) -> bytes:
    return (write(value) + "\n").encode("utf-8")


def write(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value:d}"
    if isinstance(value, float):
        return write_float(value)
    if isinstance(value, str):
        return write_text(value)
    if isinstance(value, list):
        return "[" + ",".join(map(write, value)) + "]"
    keys = sorted(value, key=lambda key: [ord(character) for character in key])
    return "{" + ",".join(write_text(key) + ":" + write(value[key]) for key in keys) + "}"


SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}


def write_text(text: str) -> str:
    def one(character: str) -> str:
        if character in SHORT:
            return SHORT[character]
        return f"\\u{ord(character):04x}" if ord(character) < 0x20 else character

    return '"' + "".join(map(one, text)) + '"'


def write_float(value: float) -> str:
    bits = int.from_bytes(struct.pack(">d", value), "big")
    sign, value = "-" if bits >> 63 else "", abs(value)
    if value == 0:
        return sign + "0.0"
    digits, exponent = shortest(value)
    if exponent < -4 or exponent >= 16:
        mantissa = digits[0] + ("." + digits[1:] if digits[1:] else "")
        return f"{sign}{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    if exponent < 0:
        return sign + "0." + "0" * (-exponent - 1) + digits
    whole = digits[: exponent + 1].ljust(exponent + 1, "0")
    return sign + whole + "." + (digits[exponent + 1 :] or "0")


def shortest(value: float) -> tuple[str, int]:
    """The fewest digits that read back to a positive double, and the first one's power of ten."""
    exact = Fraction(value)
    exponent = len(str(int(exact))) - 1 if exact >= 1 else -len(str(int(1 / exact)))
    exponent += 1 if Fraction(10) ** (exponent + 1) <= exact else 0  # a power of ten itself
    for count in range(1, 18):
        unit = Fraction(10) ** (exponent - count + 1)
        below = exact // unit
        good = [n for n in (below, below + 1) if reads_as(n * unit) == value]
        if good:
            best = min(good, key=lambda n: (abs(n * unit - exact), n % 2))
            digits = str(best)
            return digits.rstrip("0"), exponent + len(digits) - count
    raise AssertionError(value)


def reads_as(number: Fraction) -> float | None:
    """The nearest double, the even one of two; None where that is infinite."""
    try:
        return number.numerator / number.denominator
    except OverflowError:
        return None


# --- the second implementation: arrays, sets, histories, signatures --------------------------


def array_digest(stored: dict[str, Any]) -> str:
    dtype, shape, data = stored["dtype"], stored["shape"], bytes.fromhex(stored["hex"])
    size = int(dtype[2:])
    elements = [data[i : i + size] for i in range(0, len(data), size)]
    if stored["order"] == "F":
        elements = [elements[i] for i in column_major(shape)]
    if stored["bytes"] == "big":
        elements = [little(element, dtype[1]) for element in elements]
    head = canonical_json({"dtype": dtype, "shape": shape})
    return sha256(b"samebits-array-1\n" + head + b"".join(elements))


def column_major(shape: list[int]) -> Iterator[int]:
    """Where, in Fortran order, the elements lie that C order names one after the other."""
    count = 1
    for size in shape:
        count *= size
    for number in range(count):
        at, factor, left = 0, count, number
        for size in reversed(shape):
            factor //= size
            left, index = divmod(left, size)
            at += index * factor
        yield at


def little(element: bytes, kind: str) -> bytes:
    """A complex number is two floats, each turned by itself."""
    half = len(element) // 2
    if kind == "c":
        return element[:half][::-1] + element[half:][::-1]
    return element[::-1]


def set_digest(entries: list[dict[str, Any]]) -> str:
    return sha256(canonical_json({"format": "samebits-arrays-1", "arrays": entries}))


def history_digest(content: dict[str, Any]) -> str:
    entries = []
    for name in sorted(content["metrics"], key=lambda key: [ord(c) for c in key]):
        values = content["metrics"][name]
        data = b"".join(map(double, values))
        stored = {"dtype": "<f8", "shape": [len(values)], "hex": data.hex()}
        digest = array_digest(stored | {"order": "C", "bytes": "little"})
        entry = {"name": name, "dtype": "<f8", "shape": [len(values)], "sha256": digest}
        entries.append(entry)
    return set_digest(entries)


def double(value: Any) -> bytes:
    if isinstance(value, dict):
        return bytes.fromhex(value["float64"])[::-1]
    return struct.pack("<d", value)


def fingerprint_of(dtype: str, shape: list[int], data: bytes) -> int:
    size, last = int(dtype[2:]), shape[-1] if shape else 1
    word = min(4, size)
    words = [
        int.from_bytes(data[i : i + word], "little", signed=True) for i in range(0, len(data), word)
    ]
    columns = last * (size // word)
    rows = len(words) // columns if columns else 0
    total = 0
    for number, value in enumerate(words):
        row, column = divmod(number, columns)
        total += value * (odd(row + 1, 0x9E3779B1) if rows > 1 else 1) * odd(column + 1, 0x7FEB352D)
    return (total + 2**31) % 2**32 - 2**31


def odd(number: int, start: int) -> int:
    x = number * start % 2**32
    x = (x ^ x >> 16) * 0x85EBCA6B % 2**32
    x = (x ^ x >> 13) * 0xC2B2AE35 % 2**32
    return (x ^ x >> 16) | 1


def pre_authentication_encoding(kind: str, body: bytes) -> bytes:
    name = kind.encode("utf-8")
    return b"DSSEv1 %d %s %d %s" % (len(name), name, len(body), body)


def keyid(key: bytes) -> str:
    return sha256(bytes.fromhex("302a300506032b6570032100") + key)


# --- the vectors ------------------------------------------------------------------------------


def cases(file: str) -> list[Any]:
    content = json.loads((ROOT / "tests/vectors" / f"{file}.json").read_text(encoding="utf-8"))
    return [pytest.param(case, id=case["what"]) for case in content["cases"]]


@pytest.mark.parametrize("case", cases("canonical"))
def test_both_write_the_canonical_json_of_the_vectors(case: Any) -> None:
    expected = (case["canonical"] + "\n").encode("utf-8")
    for loads, dumps in (
        (json.loads, canonical_json),
        (canonical.loads, canonical.dumps),
    ):
        assert dumps(loads(case["json"].encode("utf-8"))) == expected
    assert sha256(expected) == case["sha256"]


@pytest.mark.parametrize("case", cases("arrays"))
def test_both_take_the_digests_of_arrays_in_the_vectors(case: Any) -> None:
    assert array_digest(case) == case["sha256"]
    dtype = np.dtype(case["dtype"]).newbyteorder("<" if case["bytes"] == "little" else ">")
    flat = np.frombuffer(bytes.fromhex(case["hex"]), dtype)
    array = flat.reshape(case["shape"], order=case["order"])
    expected = arrays.ArrayEntry("a", case["dtype"], tuple(case["shape"]), case["sha256"])
    assert arrays.entry_of("a", array) == expected


@pytest.mark.parametrize("case", cases("sets"))
def test_both_take_the_digests_of_sets_in_the_vectors(case: Any) -> None:
    assert set_digest(case["arrays"]) == case["sha256"]
    index = {"format": arrays.FORMAT, "arrays": case["arrays"]}
    assert arrays.set_digest(arrays.parse_index(index)) == case["sha256"]


@pytest.mark.parametrize("case", cases("histories"))
def test_both_take_the_digests_of_histories_in_the_vectors(case: Any) -> None:
    assert history_digest(case["history"]) == case["sha256"]
    assert history.digest(history.from_json(case["history"])) == case["sha256"]
    assert sha256(canonical_json(case["history"])) == case["file_sha256"]
    assert canonical.digest(case["history"]) == case["file_sha256"]


@pytest.mark.parametrize("case", cases("fingerprints"))
def test_both_take_the_fingerprints_in_the_vectors(case: Any) -> None:
    data = bytes.fromhex(case["hex"])
    assert fingerprint_of(case["dtype"], case["shape"], data) == case["fingerprint"]
    array = np.frombuffer(data, case["dtype"]).reshape(case["shape"])
    assert fingerprint.of_array(array) == case["fingerprint"]


@pytest.mark.parametrize("case", cases("keys"))
def test_both_name_the_keys_of_the_vectors(case: Any) -> None:
    from samebits.signing import keys

    assert keyid(bytes.fromhex(case["raw"])) == case["keyid"]
    assert keys.PublicKey(bytes.fromhex(case["raw"])).keyid == case["keyid"]
    assert keys.of_text(case["base64"]).raw.hex() == case["raw"]


@pytest.mark.parametrize("case", cases("envelopes"))
def test_both_encode_what_is_signed_in_the_vectors(case: Any) -> None:
    from securesystemslib.dsse import Envelope

    body = base64.b64decode(case["payload"])
    encoded = pre_authentication_encoding(case["payloadType"], body)
    assert encoded.hex() == case["encoding"]
    assert Envelope(body, case["payloadType"], {}).pae() == encoded


# --- both, on what no vector has --------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)  # fmt: skip


@given(JSON)
def test_both_write_any_json_alike(value: Any) -> None:
    assert canonical_json(value) == canonical.dumps(value)


@given(st.integers(0, 2**64 - 1))
def test_both_write_any_finite_double_alike(bits: int) -> None:
    (value,) = struct.unpack(">d", bits.to_bytes(8, "big"))
    if value - value == 0:
        assert canonical_json(value) == canonical.dumps(value)


@given(st.integers(-1074, 1023))
def test_both_write_powers_of_two_alike(power: int) -> None:
    assert canonical_json(2.0**power) == canonical.dumps(2.0**power)


DTYPES = ["|b1", "|u1", "<i2", "<u4", "<i8", "<f2", "<f4", "<f8", "<c8", "<c16"]


@given(
    st.sampled_from(DTYPES),
    st.lists(st.integers(0, 4), max_size=4),
    st.sampled_from("CF"),
    st.sampled_from(["little", "big"]),
    st.randoms(use_true_random=False),
)
def test_both_digest_any_array_alike(
    dtype: str, shape: list[int], order: Any, byte_order: str, random: Any
) -> None:
    count = int(np.prod(shape, dtype=int))
    data = random.randbytes(count * int(dtype[2:]))
    stored = {"dtype": dtype, "shape": shape, "order": order, "bytes": byte_order}
    flat = np.frombuffer(data, np.dtype(dtype).newbyteorder("<" if byte_order == "little" else ">"))
    array = flat.reshape(shape, order=order)
    assert array_digest(stored | {"hex": data.hex()}) == arrays.array_digest(array)


@given(
    st.sampled_from(DTYPES),
    st.lists(st.integers(0, 5), max_size=3),
    st.randoms(use_true_random=False),
)
def test_both_take_any_fingerprint_alike(dtype: str, shape: list[int], random: Any) -> None:
    data = random.randbytes(int(np.prod(shape, dtype=int)) * int(dtype[2:]))
    array = np.frombuffer(data, dtype).reshape(shape)
    assert fingerprint_of(dtype, shape, data) == fingerprint.of_array(array)


# --- the page ---------------------------------------------------------------------------------


def test_the_commands_on_the_page_print_what_the_page_says(tmp_path: Path) -> None:
    blocks = re.findall(
        r"^```console\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    assert blocks
    for block in blocks:
        lines = block.splitlines()
        commands = [line[2:] for line in lines if line.startswith("$ ")]
        said = [line for line in lines if not line.startswith("$ ")]
        script = "\n".join(["set -euo pipefail", *commands])
        output = subprocess.check_output(["/bin/bash", "-c", script], text=True, cwd=tmp_path)
        assert output.splitlines() == said
