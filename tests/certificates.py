"""Reports of every kind, for the page: a sound one, edited by hand into what the others say.

They hold what the schema allows, whether or not certify.py would come to that verdict.
``certificate`` makes the certificate of one: keys, signatures and replays are made up, and look as
true ones do.
"""

import base64
import hashlib
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import atlases
import factories

Report = Any
Certificate = Any

TENSORS = ("conv2d/kernel", "conv2d/bias", "dense/kernel", "dense/bias")
ALONE = {
    "time_zone": ("time zone", "UTC UTC+0.00", "+14 UTC+14.00"),
    "locale": ("locale", "C.UTF-8", "C"),
    "home": ("home folder", "3d5b1c0a77e1", "9ab04c11e20d"),
    "folder": ("path to the working folder", "0f3c5a6be912", "71c2ee90ab54"),
    "umask": ("umask", "022", "077"),
    "variables": ("extra environment variables", 20, 120),
    "host_name": ("host name", "aa01f4c7b3d9", "c4e1907fd210"),
    "aslr": ("address space randomization", "on", "off"),
    "cpus": ("number of CPUs", 2, 1),
    "clock": ("clock", "not shifted", "+1558 days"),
    "contention": ("CPU contention", 0, 2),
    "directory_order": ("order of directory entries", "file system", "disorderfs"),
    "deployment": ("deployment", "uv", "conda"),
}
NOT_TRIED = {"clock": "faketime is not installed", "directory_order": "no permission to mount"}
PINS = {
    "hash_seed": ("hash seed", "not needed"),
    "op_determinism": ("op determinism", "not needed"),
    "intra_op_threads": ("intra-op threads", "needed"),
    "inter_op_threads": ("inter-op threads", "not needed"),
    "onednn": ("oneDNN", "needed"),
    "isa": ("oneDNN ISA", "needed"),
    "python_seed": ("Python seed", "not needed"),
    "numpy_seed": ("NumPy seed", "not needed"),
    "tensorflow_seed": ("TensorFlow seed", "needed"),
}
CPUS = ("Haswell", "Skylake-Client", "EPYC")


def divergence(**changes: Any) -> Any:
    """Two runs that part at step 17 and grow apart, the loss one step later."""
    steps = [0, *range(17, 4501, 71), 4500]
    growing = [0, *(min(1 << (3 + i // 6), 1 << 21) for i in range(len(steps) - 1))]
    found = {
        "every": "step",
        "step": 17,
        "epoch": 1,
        "tensors": ["dense/kernel"],
        "after": 16,
        "batch_step": None,
        "loss_epoch": 1,
        "loss_curve": {"steps": steps[1:], "ulp": [n // 4 + n % 7 for n in growing[1:]]},
        "curves": [
            {"name": name, "steps": steps, "ulp": [(n + 5 * i * bool(n)) << i for n in growing]}
            for i, name in enumerate(TENSORS)
        ],
    }
    return found | changes


def reproducible() -> Report:
    """What certify.py issues for two equal runs, the replica varied in everything that is cheap."""
    return factories.copied(_issued())


@cache
def _issued() -> Report:
    with tempfile.TemporaryDirectory() as folder:
        space = factories.workspace(Path(folder))
        for run in space.runs:
            factories.edit(run / "record.json", _edited_checkout)
        return factories.report_of(space, overridden=())


def _edited_checkout(record: Any) -> None:
    changed = {"commit": "c" * 40, "changed": ["README.md"], "inputs": ["mine.yaml"]}
    record["repositories"]["checkout"] |= changed


def exhaustive() -> Report:
    """Some thirty runs: all variations alone, all pins unpinned, three emulated CPUs."""
    made = reproducible()
    runs, (first,) = made["records"]["runs"], made["comparisons"]
    each = first | {"canary": None, "runs": [_same(first, "repeat")]}
    each["status"] = {"control": "completed", "repeat": "completed"}
    for key in ALONE:
        _add(made, each, f"with-{key}", key in NOT_TRIED)
        made["scope"]["variations"].append(_variation(key, f"with-{key}"))
    for key, (what, outcome) in PINS.items():
        _add(made, each, f"without-{key}")
        pin = {"key": key, "what": what, "run": f"without-{key}", "outcome": outcome, "why": None}
        made["scope"]["pins"].append(pin)
        if outcome == "needed":
            made["scope"]["conditions"].append(what)
            _differ(each["runs"][-1])
    emulated = first | {"control": "subset-control", "canary": None, "runs": []}
    emulated["status"] = {"subset-control": "completed"}
    for model in CPUS:
        _add(made, emulated, f"cpu-{model}")
        made["scope"]["variations"].append(
            {
                "key": "cpu",
                "what": f"CPU ({model})",
                "run": f"cpu-{model}",
                "outcome": "same bits",
                "control": "AMD EPYC 9R45: avx avx2 avx512f",
                "value": f"{model}: avx avx2",
                "why": None,
            }
        )
    runs["repeat"] = _record(made, "repeat")
    runs["subset-control"] = _record(made, "subset-control")
    made["comparisons"] += [each, emulated]
    return made


def dependent() -> Report:
    """Not reproducible, since it depends on two things; one more run failed."""
    made = exhaustive()
    scope, (first, each, emulated) = made["scope"], made["comparisons"]
    made["verdict"], first["identical"] = "NOT REPRODUCIBLE", False
    made["reasons"] = [
        "The bits depend on: number of CPUs, CPU.",
        "Repeatable under identical conditions: the same run, made again, has the same bits.",
        "with-locale failed where control did not, with locale varied: UnicodeDecodeError: cannot "
        "decode byte",
    ]
    scope["depends_on"], scope["repeatable"] = ["number of CPUs", "CPU"], True
    differ = {"replica": first, "with-cpus": each, "cpu-EPYC": emulated}
    for name, comparison in differ.items():
        _differ(next(run for run in comparison["runs"] if run["run"] == name))
    attribute(made, "cpu-EPYC", attribution())
    failed = next(run for run in each["runs"] if run["run"] == "with-locale")
    _differ(failed)
    failed["divergence"], each["status"]["with-locale"] = None, "failed"
    _without_digests(failed)
    del made["histories"]["with-locale"]
    made["records"]["runs"]["with-locale"] |= {
        "status": "failed",
        "digests": {},
        "tensors": {},
        "failure": {"error": "UnicodeDecodeError", "message": "cannot decode byte"},
    }
    for variation in scope["variations"]:
        if variation["outcome"] != "not tried" and variation["run"] in (*differ, "with-locale"):
            variation["outcome"] = "different bits"
        if variation["run"] == "with-locale":
            variation["outcome"] = "failed"
            variation["why"] = "UnicodeDecodeError: cannot decode byte"
    return made


def attribution(*names: str) -> Any:
    """A layer attribution: of these layers, or of a few of each kind."""
    kernels = ["Rsqrt float32", "_MklNativeFusedMatMul float32"]
    named = [
        {"layer": name, "class": "Dense", "step": 17 + i, "kernels": kernels[: 1 + i % 2]}
        for i, name in enumerate(names)
    ]
    few = [
        {"layer": "norm", "class": "BatchNormalization", "step": 17, "kernels": kernels[:1]},
        {"layer": "act", "class": "Activation", "step": None, "kernels": ["Erfc float32"]},
        {"layer": "optimizer", "class": None, "step": None, "kernels": kernels[:1]},
    ]
    about = {"atlas": "a71a5" * 12 + "0" * 4, "tensorflow": "2.21.0", "primitives": []}
    return about | {"layers": named or few}


def attribute(made: Report, name: str, block: Any) -> None:
    """Have a report say this of a run on another CPU, and that it is known what was executed."""
    run = next(r for c in made["comparisons"] for r in c["runs"] if r["run"] == name)
    run["attribution"] = block
    made["records"]["runs"][name]["model"] = {"executed": atlases.EXECUTED}


def within_tolerance() -> Report:
    """Two runs that differ a little, where the experiment asked for no more."""
    made = reproducible()
    made["verdict"] = "EQUAL WITHIN TOLERANCE"
    made["reasons"] = ["Bits differ, by at most 2.4e-07, and 3 ULP in weights."]
    made["scope"] |= {"depends_on": ["number of CPUs"], "within": {"absolute": 2.4e-7, "ulp": 3}}
    made["experiment"]["config"]["protocol"]["tolerance"] = {"absolute": 1e-6, "ulp": 4}
    made["comparisons"][0]["identical"] = False
    _differ(made["comparisons"][0]["runs"][0])
    return made


def unsupported() -> Report:
    """Both runs refused by TensorFlow: records, and nothing to compare."""
    made = reproducible()
    made["verdict"], made["histories"] = "UNSUPPORTED", {}
    made["reasons"] = [
        "control: TensorFlow refused an op without a deterministic version: FakeQuant, …"
    ]
    made["scope"] |= {"variations": [], "repeatable": None}
    for record in made["records"]["runs"].values():
        record |= {"status": "unsupported", "digests": {}, "tensors": {}, "canary": None}
        record["unsupported"] = {"op": "FakeQuant", "message": "none available", "reason": "op"}
    made["comparisons"][0] |= {"identical": False, "canary": None, "self_check": []}
    made["comparisons"][0]["status"] = dict.fromkeys(("control", "replica"), "unsupported")
    for artifact in made["comparisons"][0]["runs"][0]["artifacts"]:
        artifact |= {"identical": False, "digests": [None, None]}
    return made


def inconclusive() -> Report:
    """A file is missing: the comparison is there and shows nothing."""
    made = reproducible()
    made["verdict"], made["records"]["load"] = "INCONCLUSIVE", None
    made["reasons"] = ["load/record.json: no such file"]
    made["comparisons"][0]["canary"] = None
    made["comparisons"][0]["self_check"][0]["found"] = False
    made["records"]["runs"]["replica"] = None
    del made["histories"]["replica"]
    nothing: dict[str, Any] = {"variations": [], "pins": [], "conditions": [], "depends_on": []}
    made["scope"] |= nothing | {"repeatable": None}
    return made


KINDS = {
    "Reproducible": reproducible,
    "Reproducible, exhaustive": exhaustive,
    "Equal within tolerance": within_tolerance,
    "Not reproducible": dependent,
    "Unsupported": unsupported,
    "Inconclusive": inconclusive,
}


# --- certificates ----------------------------------------------------------------------------

_SPKI = bytes.fromhex("302a300506032b6570032100")  # what DER has before an Ed25519 key, RFC 8410
_MACHINES = (
    ("AMD EPYC 9R45", "Linux 6.1.0 Debian GNU/Linux 12 (bookworm)"),
    ("Intel(R) Xeon(R) Platinum 8488C", "Linux 6.8.0-1021-aws Ubuntu 24.04.1 LTS"),
    ("Intel(R) Core(TM) i7-4790 CPU @ 3.60GHz", "Linux 5.15.0 Rocky Linux 9.4 (Blue Onyx)"),
)
OUTSIDE = (
    "CPU features: avx512f was there in all runs, and is not here",
    "C library: glibc 2.36 in all runs, glibc 2.34 here",
)


def key(name: str) -> tuple[str, str]:
    """Id and public half of a key that nobody has."""
    raw = hashlib.sha256(name.encode()).digest()
    return hashlib.sha256(_SPKI + raw).hexdigest(), base64.b64encode(raw).decode()


def certificate(report: Report, signed: bool = True, replays: Sequence[Report] = ()) -> Certificate:
    """The certificate of a report, with what those who repeated it reported."""
    keyid = key("issuer")[0] if signed else None
    report = factories.copied(report) | {"issuer": {"keyid": keyid}}
    known = dict(key(name) for name in ("issuer", *_NAMES))
    used = [keyid, *(replay["issuer"]["keyid"] for replay in replays)]
    return {
        "format": "samebits-certificate-1",
        "signature": "SIGNED" if signed else "UNSIGNED",
        "keys": {keyid: known[keyid] for keyid in used if keyid},
        "report": report,
        "statements": [_envelope(keyid), _envelope(keyid)],
        "replays": [
            {"report": replay, "statement": _envelope(replay["issuer"]["keyid"])}
            for replay in replays
        ],
    }


def unsigned(report: Report) -> Certificate:
    """A certificate without statements that say anything."""
    made = {"format": "samebits-certificate-1", "report": report, "replays": [], "keys": {}}
    keyid = report["issuer"]["keyid"]
    made["statements"] = [_envelope(None), _envelope(None)]
    return made | {"signature": "SIGNED" if keyid else "UNSIGNED"}


def _envelope(keyid: str | None) -> Any:
    signatures = [{"keyid": keyid, "sig": base64.b64encode(bytes(64)).decode()}] if keyid else []
    made = {"payload": "e30=", "payloadType": "application/vnd.in-toto+json"}
    return made | {"signatures": signatures}


def replay(number: int = 0, **changes: Any) -> Report:
    """What somebody reported who repeated it: 0 is inside the scope, 1 outside, 2 differs."""
    cpu, system = _MACHINES[number % len(_MACHINES)]
    record = factories.copied(_issued()["records"]["runs"]["control"])
    record["machine"] |= {"cpu": cpu, "os": system}
    artifacts = [
        {"artifact": name, "expected": digit * 64, "got": digit * 64, "identical": True}
        for name, digit in zip(("history", "weights", "optimizer", "trace"), "123e", strict=True)
    ]
    made = {
        "format": "samebits-replay-1",
        "of": "0" * 64,
        "outcome": "REPRODUCED",
        "outside_scope": [],
        "artifacts": artifacts,
        "divergence": None,
        "record": record,
        "source": factories.REPOSITORY | {"commit": "d" * 40, "model": None},
        "issued": f"2026-11-{24 + number}T09:30:00Z",
        "issuer": {"keyid": key(_NAMES[number % len(_NAMES)])[0]},
    }
    if number % len(_MACHINES):
        made["outside_scope"] = list(OUTSIDE[: number % len(_MACHINES)])
    if number % len(_MACHINES) == 2:
        for artifact in artifacts[1:]:
            artifact |= {"got": "5bd1e995" * 8, "identical": False}
        made |= {"outcome": "NOT REPRODUCED", "divergence": divergence()}
    return made | changes


_NAMES = ("issuer", "laboratory", "reviewer")


def replays(number: int) -> list[Report]:
    """As many as are asked for, each of another machine."""
    return [replay(i) for i in range(number)]


_TEXTS = (
    *("conditions", "cpu", "depends_on", "dtype", "how", "keyid", "message", "name", "os"),
    *("outside_scope", "reasons", "tensors", "value", "what", "why", "layer", "class", "kernels"),
)  # keys whose texts are somebody's words


def quoting(text: str, part: Any) -> Any:
    """A certificate, or a part of it, that says this text wherever it quotes somebody."""
    if isinstance(part, dict) and "keys" in part:
        part = part | {"keys": dict.fromkeys([text], text) if part["keys"] else {}}
    if isinstance(part, list):
        return [quoting(text, item) for item in part]
    if not isinstance(part, dict):
        return part
    return {key: _quoting(text, key, value) for key, value in part.items()}


def _quoting(text: str, key: str, value: Any) -> Any:
    if key not in _TEXTS or isinstance(value, int | float | dict):
        return quoting(text, value)
    if isinstance(value, list) and not all(isinstance(item, str) for item in value):
        return quoting(text, value)
    return [text] * len(value) if isinstance(value, list) else value and text


# --- editing ---------------------------------------------------------------------------------


def _same(comparison: Any, name: str) -> Any:
    return factories.copied(comparison["runs"][0]) | {"run": name}


def _record(made: Report, name: str) -> Any:
    return factories.copied(made["records"]["runs"]["control"]) | {"run": name}


def _add(made: Report, comparison: Any, name: str, not_tried: bool = False) -> None:
    """One more run with its control's bits, or one that was not tried."""
    record, result = _record(made, name), _same(made["comparisons"][0], name)
    comparison["runs"].append(result)
    comparison["status"][name] = "completed"
    made["records"]["runs"][name] = record
    if not_tried:
        comparison["status"][name] = record["status"] = "not tried"
        for key in ("settings", "framework", "source"):
            del record[key]
        record["digests"], record["tensors"], record["trace"] = {}, {}, None
        _without_digests(result)
    else:
        made["histories"][name] = made["histories"]["control"]


def _variation(key: str, run: str) -> Any:
    what, control, value = ALONE[key]
    why = NOT_TRIED.get(key)
    found = {"key": key, "what": what, "run": run, "control": control, "why": why}
    if why:
        return found | {"outcome": "not tried", "value": None}
    return found | {"outcome": "same bits", "value": value}


def _without_digests(result: Any) -> None:
    result["identical"] = False
    for artifact in result["artifacts"]:
        artifact |= {"identical": False, "differences": []}
        artifact["digests"] = [artifact["digests"][0], None]


def _differ(result: Any) -> None:
    """Other final weights and another trace."""
    result |= {"identical": False, "divergence": divergence()}
    for artifact in result["artifacts"]:
        if artifact["artifact"] in ("weights", "trace"):
            artifact["identical"] = False
            artifact["digests"] = [artifact["digests"][0], "5bd1e995" * 8]
            artifact["differences"] = [_difference(name) for name in TENSORS]


def _difference(name: str) -> Any:
    return {
        "name": name,
        "dtype": "F32",
        "shape": [64, 10],
        "kind": "values",
        "elements": 640,
        "different": 600,
        "first": [0, 3],
        "largest_absolute": 2.4e-7,
        "largest_ulp": 3,
        "not_finite": 0,
        "control": {"value": "-0.2173913", "bits": "be5e9bd3"},
        "replica": {"value": "-0.21739128", "bits": "be5e9bd2"},
    }
