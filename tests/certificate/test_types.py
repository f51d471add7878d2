"""The TypedDicts of certificates name the keys that the schemas name, and no others."""

from typing import Any, is_typeddict

import pytest

from samebits.certificate import schema, types

# Each TypedDict, and where the schemas describe its object. One of two schemas may be described by
# one type, whose keys are then those of both.
PLACES: dict[str, tuple[str, ...]] = {
    "Config": ("report#config",),
    "History": ("report#history",),
    "ArrayEntry": ("report#arrayEntry",),
    "Tensor": ("report#tensors",),
    "State": ("report#state",),
    "LoadRecord": ("report#loadRecord",),
    "Input": ("report#loadRecord.inputs",),
    "Setting": ("report#runRecord.settings",),
    "Failure": ("report#runRecord.failure",),
    "Refusal": ("report#runRecord.unsupported",),
    "Primitive": ("report#runRecord.primitives.made",),
    "Primitives": ("report#runRecord.primitives",),
    "Apart": ("report#runRecord.another.tensors",),
    "Another": ("report#runRecord.another",),
    "WrongKernel": ("report#runRecord.wrong_kernels",),
    "Varied": ("report#runRecord.variations",),
    "Subset": ("report#runRecord.subset",),
    "Canary": ("report#runRecord.canary",),
    "Again": ("report#runRecord.checkpoints.again",),
    "Checkpoints": ("report#runRecord.checkpoints",),
    "Program": ("report#program",),
    "ProgramCall": ("report#program.calls",),
    "ProgramModel": ("report#program.models",),
    "ProgramOptimizer": ("report#program.optimizers",),
    "ProgramPin": ("report#program.pins",),
    "ProgramOutput": ("report#program.outputs",),
    "Fetched": ("report#program.fetched",),
    "Process": ("report#runRecord.process",),
    "Package": ("report#packages",),
    "LookedUp": ("report#runRecord.variables",),
    "Installed": ("report#runRecord.installed",),
    "SourceFile": ("report#runRecord.source",),
    "Repository": ("report#repository",),
    "Repositories": ("report#runRecord.repositories",),
    "FileRead": ("report#fileRead",),
    "FileWritten": ("report#runRecord.files.written",),
    "Files": ("report#runRecord.files",),
    "SampledEpoch": ("report#sampledRecord.sampled.epochs",),
    "Sampled": ("report#sampledRecord.sampled",),
    "RunRecord": ("report#runRecord", "report#trainRecord", "report#sampledRecord"),
    "Side": ("report#side",),
    "Difference": ("report#difference",),
    "ComparedArtifact": ("report#artifact",),
    "ComparedCheckpoints": ("report#comparison.runs.checkpoints",),
    "ComparedGenerators": ("report#comparison.runs.generators",),
    "Curve": ("report#curve",),
    "Divergence": ("report#divergence",),
    "Layer": ("report#attribution.layers",),
    "Attribution": ("report#attribution",),
    "Drawn": ("report#drawn",),
    "ComparedRun": ("report#comparison.runs",),
    "Received": ("report#runRecord.data.epochs",),
    "Data": ("report#runRecord.data",),
    "NanTensor": ("report#runRecord.nan.tensors",),
    "Nan": ("report#runRecord.nan",),
    "CanaryStep": ("report#comparison.canary.steps",),
    "ComparedCanary": ("report#comparison.canary",),
    "SelfCheck": ("report#comparison.self_check",),
    "Comparison": ("report#comparison",),
    "Fact": ("report#fact",),
    "Facts": ("report#.scope.differed",),
    "Variation": ("report#.scope.variations",),
    "Pin": ("report#.scope.pins",),
    "Distance": ("report#.scope.within",),
    "Epochs": ("report#.scope.epochs",),
    "Scope": ("report#.scope",),
    "Experiment": ("report#.experiment",),
    "FileEntry": ("report#.evidence",),
    "Records": ("report#.records",),
    "LockText": ("report#.lock",),
    "Dependency": ("report#.dependencies",),
    "Issuer": ("report#.issuer",),
    "Source": ("report#.source",),
    "Report": ("report#",),
    "Signature": ("certificate#envelope.signatures",),
    "Envelope": ("certificate#envelope",),
    "ReplayedArtifact": ("certificate#replay.artifacts",),
    "ReplayedEpoch": ("certificate#sampledReplay.epochs",),
    "Replay": ("certificate#replay", "certificate#sampledReplay"),
    "ReplayEntry": ("certificate#.replays",),
    "Certificate": ("certificate#",),
}


def described(place: str) -> Any:
    """The schema of an object: FILE#DEFINITION.KEY.KEY, where a list stands for its items."""
    file, _, path = place.partition("#")
    whole = schema.load(f"{file}.schema.json")
    definition, *keys = path.split(".")
    found = whole["$defs"][definition] if definition else whole
    for key in keys:
        found = _object(_object(found)["properties"][key])
    return _object(found)


def _object(schema: Any) -> Any:
    """The part of a schema that describes an object, past lists, null and alternatives."""
    if "properties" in schema:
        return schema
    inner = [schema.get("items"), schema.get("else"), *schema.get("anyOf", ())]
    return next((_object(part) for part in inner if part and _is_object(part)), schema)


def _is_object(schema: Any) -> bool:
    return "properties" in schema or bool({"items", "else", "anyOf"} & set(schema))


def test_every_type_is_compared_with_a_schema() -> None:
    assert {name for name, found in vars(types).items() if is_typeddict(found)} == set(PLACES)


@pytest.mark.parametrize("name", PLACES)
def test_a_type_has_the_keys_of_its_schema(name: str) -> None:
    schemas = [described(place) for place in PLACES[name]]
    keys = {key for schema in schemas for key in schema["properties"]}
    required = {key for schema in schemas for key in schema.get("required", ())}
    assert set(getattr(types, name).__annotations__) == keys | required


# What every run has that trained; of one that did not, the record is not asked for it.
TRAINED = {"settings", "variables", "framework", "source", "files", "repositories"}


@pytest.mark.parametrize("name", PLACES)
def test_a_key_that_may_be_missing_is_optional(name: str) -> None:
    places = PLACES[name][:1] if name == "RunRecord" else PLACES[name]
    required = set.intersection(*(set(described(p).get("required", ())) for p in places))
    more = TRAINED if name == "RunRecord" else set()
    assert getattr(types, name).__required_keys__ == required | more
