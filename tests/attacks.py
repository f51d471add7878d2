"""What an attacker can change in a certificate, generated: every leaf, every list, every key.

Nothing is listed by hand, so that a field that is added to a format is attacked as well. Mutants
are made and drawn without chance: a test that fails names its mutant, and finds it again.
"""

import hashlib
import io
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner

import atlases
import factories
import verify
from factories import Workspace
from samebits.certificate import certificate, evidence, replays, report, schema, statements
from samebits.certificate.types import Source
from samebits.comparison import runs
from samebits.formats import bundle, canonical, files
from samebits.signing.keys import PublicKey, Signer
from samebits.verification.levels import DOES_NOT_HOLD, MALFORMED, NOT_TRUSTED, VERIFIED

Json = Any
Keys = tuple[str | int, ...]

# --- keys ------------------------------------------------------------------------------------


def signer(name: str = "") -> Signer:
    """A key that is the same at every call: who knows the name has the key. For tests alone."""
    seed = hashlib.sha256(f"samebits tests{name and ' '}{name}".encode()).digest()
    private = Ed25519PrivateKey.from_private_bytes(seed)
    raw = private.public_key().public_bytes(
        serialization.Encoding.Raw, serialization.PublicFormat.Raw
    )
    public = PublicKey(raw)
    return Signer(CryptoSigner(private, public.verifier()), public)


def key_file(folder: Path, name: str = "") -> Path:
    """The public half of ``signer(name)`` as the file that --key takes."""
    path = folder / f"{name or 'issuer'}.pub"
    path.write_bytes(signer(name).public.pem())
    return path


# --- certificates ------------------------------------------------------------------------------

SOURCE = Source(commit="0123456789abcdef0123456789abcdef01234567", dirty=False)


def report_of(space: Workspace, by: Signer | None, comparisons: Iterable[Path] = ()) -> Json:
    """What certify.py would find in a workspace."""
    given = [space.comparison, *comparisons]
    paths = evidence.Paths(space.config, space.lock, space.load_record, space.runs, given)
    issue = report.Issue(
        name="default",
        issued="2026-11-23T12:00:00Z",
        source=SOURCE,
        how_to_repeat=("make certificate",),
        overridden=("seed", "trainer.epochs"),
        dependencies={"envs/load.lock.txt": "d" * 64, "envs/load.linux-64.pin.txt": "e" * 64},
        keyid=by.keyid if by else None,
    )
    made = report.build(evidence.read(paths), issue)
    assert not list(schema.violations(made, schema.REPORT))
    return made


def certify(space: Workspace, by: Signer | None, comparisons: Iterable[Path] = ()) -> Json:
    """The certificate of a workspace."""
    return certificate.issue(report_of(space, by, comparisons), by)


def another_run(original: Json, number: int = 1) -> Json:
    """A record of one more run of what a certificate is about, with the same bits."""
    record = copied(original["report"]["records"]["runs"]["control"])
    process = f"{number:08d}-0000-5000-8000-000000000000"
    return canonical.with_digest(record | {"run": "replay", "process": {"id": process, "pid": 1}})


def replayed(original: Json, by: Signer | None, record: Json = None) -> Json:
    """The certificate with a replay at its end, as replay.py adds it."""
    of = statements.of(original)
    record = another_run(original, len(original["replays"]) + 1) if record is None else record
    record = canonical.with_digest(record)
    issue = replays.Issue(
        issued="2026-11-24T09:30:00Z", issuer={"keyid": by.keyid if by else None}, source=SOURCE
    )
    made = replays.build(original["report"], of, record, None, issue)
    return certificate.with_replay(original, made, by)


def signed_again(content: Json, said: Json, by: Signer) -> Json:
    """A certificate by a dishonest signer: another report, and statements to match.

    Where none can be made of it, the old ones. Replays of the old one are left out.
    """
    try:
        payloads = [statements.claim(said), statements.provenance(said)]
    except Exception:
        payloads = [certificate.payload(sealed) for sealed in content["statements"]]
    sealed = [certificate.envelope(payload, by) for payload in payloads]
    keys = {by.keyid: by.public.text}
    return {**content, "report": said, "statements": sealed, "keys": keys, "replays": []}


def explained(folder: Path) -> tuple[Workspace, list[Path]]:
    """A workspace with a run of every kind, and its further comparisons.

    One variation alone, two unpinned pins of which one is needed, one emulated CPU with other bits
    and attributed layers.
    """
    config = copied(factories.CONFIG)
    lean: Json = {"seeding": None, "op_determinism": False, "onednn": None, "environment": {}}
    config["determinism"] |= lean | {"intra_op_threads": None, "inter_op_threads": None}
    emulated = {"models": ["EPYC"], "samples": 64, "epochs": 1}
    asked = {"replica": ["locale"], "alone": ["time_zone"], "unpin": True, "cpu": emulated}
    config["protocol"] |= asked
    space = factories.workspace(folder, config=config, change=_of_lean({}, ["locale"]))
    experiment = files.digest(space.config), factories.load_record()["digest"]

    def run(name: str, change: Callable[[Json], None], **results: Any) -> Path:
        where = folder / "train" / name
        return factories.write_run(where, *experiment, config=config, change=change, **results)

    run("control", _of_lean({}, []))
    space.compare()
    unpinned = {"hash seed": 1}, {"oneDNN ISA": "SSE41"}
    each = [
        run("repeat", _of_lean({}, [])),
        run("with-time_zone", _of_lean({}, ["time_zone"])),
        run("without-hash_seed", _of_lean(unpinned[0], [], unpinned=["hash_seed"])),
        run("without-isa", _of_lean(unpinned[1], [], unpinned=["isa"]), weights=_other_weights()),
    ]
    part, short = {"samples": 64, "epochs": 1}, {k: v[:1] for k, v in factories.HISTORY.items()}
    part_of = {"subset": part, "model": {"executed": atlases.EXECUTED}}
    subset = run("subset-control", _of_lean({}, [], **part_of), metrics=short)
    cpu, known = _of_lean({}, ["cpu"], **part_of), atlases.known("Rsqrt float32")
    other = run("cpu-EPYC", cpu, metrics=short, weights=_other_weights())
    space.runs += [*each, subset, other]
    comparisons = [folder / "compare" / f"{name}.json" for name in ("each", "cpu")]
    factories.write_document(comparisons[0], runs.compare(space.runs[0], each))
    factories.write_document(comparisons[1], runs.compare(subset, [other], known))
    return space, comparisons


_SEEN = {"locale": "C", "time_zone": "+14 UTC+14.00", "cpu": "EPYC: avx avx2"}


def _of_lean(values: Json, varied: list[str], **more: Any) -> Callable[[Json], None]:
    """Have a record be one of ``explained``: its settings, and what was varied around it."""
    pinned = {"hash seed": 0, "oneDNN ISA": "AVX2", "op determinism": False} | values
    pinned |= {"TensorFlow": "2.21.0", "other variables": {}}

    def change(record: Json) -> None:
        settings = [s for s in record["settings"] if s["name"] in pinned]
        for setting in settings:
            setting |= dict.fromkeys(("expected", "effective"), pinned[setting["name"]])
        record["settings"] = settings
        record["variations"] = {"applied": dict.fromkeys(varied, "another"), "not_tried": {}}
        seen = {key: _SEEN[key] for key in varied}
        record["observed"] = factories.OBSERVED | seen
        record |= more

    return change


def _other_weights() -> factories.Arrays:
    weights = factories.weights()
    weights[0][1].view("<u4")[2, 1] ^= 1
    return weights


def bundled(folder: Path, content: dict[str, bytes]) -> Path:
    """A bundle as samebits writes it, of any content."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / str(number) for number, name in enumerate(content)}
    for name, path in paths.items():
        path.write_bytes(content[name])
    bundle.write(folder / "made.zip", paths)
    return folder / "made.zip"


# --- mutations ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mutant:
    """A value that differs from the original in one place, and where and how."""

    keys: Keys
    kind: str
    value: Json

    @property
    def path(self) -> str:
        """Where, positions and names of runs replaced by a star: one text per kind of place."""
        return ".".join("*" if isinstance(key, int) else key for key in self.keys)

    def __str__(self) -> str:
        """To be found again by."""
        return f"{'.'.join(map(str, self.keys))}: {self.kind}"


def mutants(value: Json) -> Iterator[Mutant]:
    """Everything that differs from a JSON value in one leaf, one key, one item or one pair."""
    yield from _mutants(value, (), lambda changed: changed)


def _mutants(value: Json, keys: Keys, whole: Callable[[Json], Json]) -> Iterator[Mutant]:
    """``whole``: the value that a part belongs to, made of another such part."""
    for kind, changed in _changed(value):
        yield Mutant(keys, kind, whole(changed))
    for key, inner in _items(value):
        yield from _mutants(inner, (*keys, key), _put(value, key, whole))


def _items(value: Json) -> list[tuple[Any, Json]]:
    if isinstance(value, dict):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list) else []


def _put(value: Json, key: Any, whole: Callable[[Json], Json]) -> Callable[[Json], Json]:
    def put(changed: Json) -> Json:
        copy = value.copy()
        copy[key] = changed
        return whole(copy)

    return put


def _changed(value: Json) -> Iterator[tuple[str, Json]]:
    """A value's neighbours, by its type."""
    if isinstance(value, dict):
        yield from _changed_object(value)
    elif isinstance(value, list):
        yield from _changed_list(value)
    else:
        for kind, changed in (("null", None), *_CHANGED[type(value)](value)):
            if canonical.dumps(changed) != canonical.dumps(value):
                yield kind, changed


def _changed_object(value: dict[str, Json]) -> Iterator[tuple[str, Json]]:
    yield "null", None
    yield "list", []
    yield "key added", {**value, "more": 1}
    for key in value:
        yield f"without {key}", {k: v for k, v in value.items() if k != key}


def _changed_list(value: list[Json]) -> Iterator[tuple[str, Json]]:
    yield "null", None
    yield "object", {}
    yield "item added", [*value, None]
    for i, item in enumerate(value):
        yield f"without item {i}", value[:i] + value[i + 1 :]
        yield f"item {i} twice", [*value[: i + 1], *value[i:]]
        if i and canonical.dumps(value[i - 1]) != canonical.dumps(item):
            swapped = [*value[: i - 1], item, value[i - 1], *value[i + 1 :]]
            yield f"items {i - 1} and {i} swapped", swapped


def _changed_text(value: str) -> Iterator[tuple[str, Json]]:
    yield "one character", value[:-1] + _other_character(value[-1:])
    yield "first character", _other_character(value[:1]) + value[1:]
    yield "other text", "other"
    yield "empty", ""
    yield "longer", value + "\n"
    yield "number", 1
    if value.upper() != value:
        yield "upper case", value.upper()


def _other_character(character: str) -> str:
    """One that is as good a hexadecimal digit, letter or sign."""
    return "1" if character == "0" else "0" if character in set("123456789") else "a"


def _changed_number(value: float) -> Iterator[tuple[str, Json]]:
    yield "one more", value + 1
    yield "negative", -value - 1
    yield "other type", float(value) if isinstance(value, int) else int(value)
    yield "text", str(value)
    yield "true", True
    yield "huge", 10**400
    if isinstance(value, float):
        yield "next", math.nextafter(value, math.inf)


def _changed_flag(value: bool) -> Iterator[tuple[str, Json]]:
    yield "toggled", not value
    yield "as number", int(value)
    yield "as text", str(value).lower()


def _changed_null(value: None) -> Iterator[tuple[str, Json]]:
    yield from (("zero", 0), ("false", False), ("text", "other"), ("list", []), ("object", {}))


_CHANGED: dict[type, Callable[[Any], Iterator[tuple[str, Json]]]] = {
    str: _changed_text,
    int: _changed_number,
    float: _changed_number,
    bool: _changed_flag,
    type(None): _changed_null,
}


def drawn(made: Iterable[Mutant], one_in: int) -> Iterator[Mutant]:
    """Some of many, always the same ones, spread over all places."""
    for mutant in made:
        if int(hashlib.sha256(str(mutant).encode()).hexdigest(), 16) % one_in == 0:
            yield mutant


def replaced(value: Json, keys: Keys, by: Json) -> Json:
    """A value with another part in one place."""
    if not keys:
        return by
    copy = value.copy()
    copy[keys[0]] = replaced(value[keys[0]], keys[1:], by)
    return copy


def copied(value: Json) -> Json:
    """A deep copy of a JSON value."""
    return canonical.loads(canonical.dumps(value))


# --- verify ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What verify.py said, and the code that it left with."""

    code: int
    out: str
    err: str


def run(*arguments: object) -> Outcome:
    """verify.py in this process. What it would show as a traceback is raised."""
    streams = [io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2)]
    before, sys.argv = sys.argv, ["verify.py", *map(str, arguments)]
    try:
        with redirect_stdout(streams[0]), redirect_stderr(streams[1]):
            code = verify.main()
    except SystemExit as error:  # argparse
        code = int(error.code or 0)
    finally:
        sys.argv = before
    return Outcome(code, *(_written(stream) for stream in streams))


def _written(stream: io.TextIOWrapper) -> str:
    stream.flush()
    data: bytes = stream.buffer.getvalue()  # type: ignore[attr-defined]
    return data.decode("utf-8")


class Place:
    """A folder with the issuer's public key, in which certificates are verified."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = key_file(folder)
        self.path = folder / "certificate.json"

    def verify(self, content: Json | bytes, *flags: object) -> Outcome:
        """What verify.py says of a certificate, which the issuer alone is trusted to sign."""
        data = content if isinstance(content, bytes) else canonical.dumps(content)
        self.path.write_bytes(data)
        return run(self.path, "--key", self.key, *flags)

    def code(self, content: Json | bytes, *flags: object) -> int:
        """The exit code, which is one of those that are documented."""
        outcome = self.verify(content, *flags)
        assert outcome.code in (VERIFIED, DOES_NOT_HOLD, MALFORMED, NOT_TRUSTED)
        assert (outcome.err != "") == (outcome.code == MALFORMED)
        return outcome.code
