"""The JSON of certificates, reports and records, for mypy: the keys that the schemas name.

The schemas say which values are valid and are what is checked at run time; a test compares the keys
here with theirs. Records may say more than is listed.
"""

from typing import Any, NotRequired, TypedDict

# ruff: noqa: UP013 (as tables these are read at a glance, and some keys are no identifiers)
# fmt: off

# --- what the stages write -------------------------------------------------------------------

Config = TypedDict("Config", {  # a program takes the place of data, model and trainer
    "format": str, "data": NotRequired[dict[str, Any]], "model": NotRequired[dict[str, Any]],
    "trainer": NotRequired[dict[str, Any]], "program": NotRequired[dict[str, Any]],
    "framework": dict[str, Any], "determinism": dict[str, Any], "protocol": dict[str, Any],
    "environment": dict[str, str], "seed": int,
})
History = TypedDict("History", {"format": str, "metrics": dict[str, list[Any]]})
ArrayEntry = TypedDict("ArrayEntry", {"name": str, "dtype": str, "shape": list[int], "sha256": str})
Tensor = TypedDict("Tensor", {"name": str, "dtype": str, "shape": list[int]})
State = TypedDict("State", {"optimizer": str, "state": str, "weights": str})
Input = TypedDict("Input", {"path": str | None, "sha256": str, "bytes": int, "url": str | None})
LoadRecord = TypedDict("LoadRecord", {
    "format": str, "embedded_digest": str, "dataset": str, "source": dict[str, str],
    "refused": list[dict[str, str]], "arrays": list[ArrayEntry], "digest": str,
    "config": dict[str, Any], "environment": dict[str, Any], "inputs": NotRequired[list[Input]],
})

Setting = TypedDict("Setting", {"name": str, "expected": Any, "effective": Any, "how": str})
Failure = TypedDict("Failure", {"error": str, "message": str})
Refusal = TypedDict("Refusal", {"op": str | None, "message": str, "reason": str})
Varied = TypedDict("Varied", {"applied": dict[str, str], "not_tried": dict[str, str]})
Subset = TypedDict("Subset", {"samples": int, "epochs": int})
Canary = TypedDict("Canary", {
    "tensor": str | None, "elements": int, "change": str, "steps": int,
    "digest": str | None, "tensors": list[Tensor],
})
Again = TypedDict("Again", {
    "epoch": int, "digests": State | None, "failure": str | None, "attributes": list[str],
})
Checkpoints = TypedDict("Checkpoints", {
    "every": str, "digests": list[State], "root": str, "resumed": list[int], "again": Again | None,
})
Received = TypedDict("Received", {"samples": int, "fingerprint": int})
Data = TypedDict("Data", {
    "samples": int, "fingerprint": int | None, "epochs": list[Received],
    "used": list[str] | None, "problem": str | None,
})
NanTensor = TypedDict("NanTensor", {
    "name": str, "count": int, "after": int | None, "since": int | None,
})
Nan = TypedDict("Nan", {"tensors": list[NanTensor], "numbers": int})
FileRead = TypedDict("FileRead", {"path": str, "sha256": str})
ProgramCall = TypedDict("ProgramCall", {
    "n": int, "what": str, "model": int, "times": int, "epochs": int | None, "steps": int,
    "metrics": dict[str, Any], "uncompared": list[str], "sha256": str,
})
ProgramModel = TypedDict("ProgramModel", {"name": str, "class": str, "weights": int})
ProgramOptimizer = TypedDict("ProgramOptimizer", {
    "name": str, "class": str, "steps": int, "variables": int,
})
ProgramPin = TypedDict("ProgramPin", {"name": str, "expected": Any, "effective": Any})
ProgramOutput = TypedDict("ProgramOutput", {
    "path": str, "sha256": str, "compared": bool, "as": str,
})
Fetched = TypedDict("Fetched", {"url": str, "name": str, "sha256": str, "pinned": bool})
Program = TypedDict("Program", {
    "words": list[str], "kind": str, "exit": int, "calls": list[ProgramCall],
    "models": list[ProgramModel], "optimizers": list[ProgramOptimizer], "untraced": list[str],
    "lost": int, "pins": list[ProgramPin], "inputs": list[FileRead],
    "outputs": list[ProgramOutput], "fetched": list[Fetched], "isolation": dict[str, str],
    "connections": list[str] | None, "undeclared": list[str],
})
Process = TypedDict("Process", {"id": str})
Package = TypedDict("Package", {"name": str, "version": str})
LookedUp = TypedDict("LookedUp", {"name": str, "set": bool})
Installed = TypedDict("Installed", {"files": int, "sha256": str})
SourceFile = TypedDict("SourceFile", {"module": str, "path": str, "sha256": str})
Repository = TypedDict("Repository", {
    "commit": str | None, "changed": list[str] | None, "inputs": list[str], "problem": str | None,
})
Repositories = TypedDict("Repositories", {"checkout": Repository, "model": Repository | None})
FileWritten = TypedDict("FileWritten", {"path": str, "sha256": str | None, "sought": bool})
Files = TypedDict("Files", {
    "read": list[FileRead], "listed": list[FileRead], "names": list[FileRead],
    "absent": list[str], "written": list[FileWritten], "problem": str | None,
})
SampledEpoch = TypedDict("SampledEpoch", {
    "epoch": int, "from": State | None, "to": State, "history": History,
})
Sampled = TypedDict("Sampled", {
    "certificate": str, "draw": str, "drawn": list[int], "epochs": list[SampledEpoch],
})
Primitive = TypedDict("Primitive", {
    "kind": str, "implementation": str, "direction": str, "shape": str,
})
Primitives = TypedDict("Primitives", {
    "isa": str, "threads": int, "made": list[Primitive], "more": int,
})
Apart = TypedDict("Apart", {"name": str, "largest": float | None, "apart": float | None})
Another = TypedDict("Another", {"tensors": list[Apart], "failure": str | None})
WrongKernel = TypedDict("WrongKernel", {
    "op": str, "where": str, "why": str, "replaced": bool,
})
RunRecord = TypedDict("RunRecord", {  # of all epochs, or of sampled ones: then it has "sampled"
    "format": str, "embedded_digest": str, "run": str, "status": str, "failure": Failure | None,
    "variations": Varied, "unpinned": list[str], "subset": Subset | None,
    "observed": dict[str, Any], "threads": list[str] | None, "generators": dict[str, str] | None,
    "model": dict[str, Any] | None, "program": Program | None,
    "trace": dict[str, Any] | None, "canary": Canary | None, "data": Data | None,
    "nan": Nan | None, "predictions": dict[str, str | None] | None,
    "checkpoints": Checkpoints | None, "experiment": str, "dataset": str, "lock": str,
    "digests": dict[str, str], "tensors": dict[str, list[Tensor]],
    "unsupported": Refusal | None, "wrong_kernels": list[WrongKernel],
    "primitives": Primitives | None, "another": Another | None, "settings": list[Setting],
    "framework": dict[str, Any], "python": dict[str, Any], "packages": list[Package],
    "installed": Installed,
    "config": Config, "source": list[SourceFile], "files": Files,
    "repositories": Repositories, "machine": dict[str, Any],
    "variables": list[LookedUp], "timing": dict[str, Any], "process": Process,
    "sampled": NotRequired[Sampled],
})

Side = TypedDict("Side", {"value": str, "bits": str})
Difference = TypedDict("Difference", {
    "name": str, "dtype": str, "shape": list[int], "kind": str, "elements": int,
    "different": int | None, "first": list[int] | None, "largest_absolute": float | None,
    "largest_ulp": int | None, "not_finite": int | None, "control": str | Side,
    "replica": str | Side,
})
ComparedArtifact = TypedDict("ComparedArtifact", {
    "artifact": str, "identical": bool, "digests": list[str | None],
    "differences": list[Difference],
})
ComparedGenerators = TypedDict("ComparedGenerators", {"identical": bool, "differing": list[str]})
ComparedCheckpoints = TypedDict("ComparedCheckpoints", {"identical": bool, "epoch": int | None})
Curve = TypedDict("Curve", {"name": NotRequired[str], "steps": list[int], "ulp": list[int | None]})
Divergence = TypedDict("Divergence", {
    "every": str, "step": int | None, "after": int | None, "epoch": int | None,
    "tensors": list[str], "batch_step": int | None, "loss_epoch": int | None,
    "loss_curve": Curve, "curves": list[Curve],
})
Layer = TypedDict("Layer", {
    "layer": str, "class": str | None, "step": int | None, "kernels": list[str],
    "possible": NotRequired[list[str]],
})
Drawn = TypedDict("Drawn", {
    "kind": str, "implementation": str, "direction": str, "cases": int, "dependent": int,
    "shapes": list[str],
})
Attribution = TypedDict("Attribution", {
    "atlas": str, "tensorflow": str, "layers": list[Layer] | None, "primitives": list[Drawn],
})
ComparedRun = TypedDict("ComparedRun", {
    "run": str, "identical": bool, "artifacts": list[ComparedArtifact],
    "checkpoints": NotRequired[ComparedCheckpoints | None], "divergence": Divergence | None,
    "attribution": NotRequired[Attribution], "generators": ComparedGenerators | None,
})
CanaryStep = TypedDict("CanaryStep", {"step": int, "tensors": list[str]})
ComparedCanary = TypedDict("ComparedCanary", {
    "run": str, "tensor": str | None, "elements": int, "change": str, "differs": bool,
    "steps": list[CanaryStep],
})
SelfCheck = TypedDict("SelfCheck", {
    "artifact": str, "name": str, "index": list[int], "found": bool,
})
Comparison = TypedDict("Comparison", {
    "format": str, "embedded_digest": str, "identical": bool, "experiment": str, "dataset": str,
    "control": str, "status": dict[str, str], "runs": list[ComparedRun], "left": list[str],
    "canary": ComparedCanary | None, "self_check": list[SelfCheck],
    "primitives": list[Drawn] | None,
})

# --- the report ------------------------------------------------------------------------------

Fact = TypedDict("Fact", {"what": str, "value": Any})
Facts = TypedDict("Facts", {"what": str, "values": dict[str, Any]})
Variation = TypedDict("Variation", {
    "key": str, "what": str, "run": str, "outcome": str, "control": Any, "value": Any,
    "why": str | None,
})
Pin = TypedDict("Pin", {"key": str, "what": str, "run": str, "outcome": str, "why": str | None})
Distance = TypedDict("Distance", {"absolute": float, "ulp": int})
Epochs = TypedDict("Epochs", {"trained": int, "at_most": int})
Scope = TypedDict("Scope", {
    "cautions": list[str], "received": str | None,
    "runs": int, "epochs": Epochs | None, "pinned": list[Fact], "same": list[Fact],
    "differed": list[Facts], "resumed": dict[str, list[int]],
    "variations": list[Variation], "not_varied": list[str], "pins": list[Pin],
    "conditions": list[str],
    "depends_on": list[str], "repeatable": bool | None, "within": Distance | None,
    "undeclared": list[str],
    "left": list[str],
})
Experiment = TypedDict("Experiment", {
    "name": str, "digest": str | None, "config": Config | None, "overridden": list[str],
})
FileEntry = TypedDict("FileEntry", {"name": str, "sha256": str | None, "problem": str | None})
Records = TypedDict("Records", {"load": LoadRecord | None, "runs": dict[str, RunRecord | None]})
LockText = TypedDict("LockText", {"name": str, "text": str | None})
Dependency = TypedDict("Dependency", {"name": str, "sha256": str})
Issuer = TypedDict("Issuer", {"keyid": str | None})
Source = TypedDict("Source", {
    "commit": str | None, "changed": list[str] | None, "inputs": list[str], "problem": str | None,
    "model": Repository | None,
})
Report = TypedDict("Report", {
    "format": str, "verdict": str, "reasons": list[str], "experiment": Experiment, "scope": Scope,
    "evidence": list[FileEntry], "comparisons": list[Comparison], "records": Records,
    "histories": dict[str, History], "lock": LockText, "dependencies": list[Dependency],
    "issued": str, "issuer": Issuer, "source": Source,
    "how_to_repeat": list[str],
})

# --- the certificate -------------------------------------------------------------------------

Signature = TypedDict("Signature", {"keyid": str, "sig": str})
Envelope = TypedDict("Envelope", {
    "payload": str, "payloadType": str, "signatures": list[Signature],
})
ReplayedArtifact = TypedDict("ReplayedArtifact", {
    "artifact": str, "expected": str, "got": str | None, "identical": bool,
})
ReplayedEpoch = TypedDict("ReplayedEpoch", {
    "epoch": int, "from": State | None, "expected": State, "got": State | None, "history": bool,
    "identical": bool,
})
Replay = TypedDict("Replay", {  # of all epochs, or of sampled ones
    "format": str, "of": str, "outcome": str, "outside_scope": list[str],
    "artifacts": NotRequired[list[ReplayedArtifact]], "divergence": NotRequired[Divergence | None],
    "draw": NotRequired[str], "in_all": NotRequired[int],
    "epochs": NotRequired[list[ReplayedEpoch]], "record": RunRecord, "source": Source,
    "issued": str, "issuer": Issuer,
})
ReplayEntry = TypedDict("ReplayEntry", {"report": Replay, "statement": Envelope})
Certificate = TypedDict("Certificate", {
    "format": str, "signature": str, "keys": dict[str, str], "report": Report,
    "statements": list[Envelope], "replays": list[ReplayEntry],
})
