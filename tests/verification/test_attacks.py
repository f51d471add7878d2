"""Whatever is changed in a certificate, by whomever, verify does not call it sound.

Mutants are generated, see tests/attacks.py; what may pass is listed here, each with its reason, and
nothing else does. Every attack goes through verify.py itself: its exit code is what a user has, and
a traceback would fail the test.
"""

import os
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import pytest

import attacks
import factories
from attacks import Mutant, Place
from factories import ISSUER, LABORATORY
from samebits.certificate import certificate, report
from samebits.formats import canonical
from samebits.signing.keys import Signer
from samebits.verification.levels import DOES_NOT_HOLD, MALFORMED, NOT_TRUSTED, VERIFIED

Json = Any
# All mutants take twenty minutes; `make test-slow` tries one in 24. SAMEBITS_ALL_ATTACKS=1 tries
# all, and looks whether the lists below name anything that does not pass.
ALL = bool(os.environ.get("SAMEBITS_ALL_ATTACKS"))
SHARE = 1 if ALL else 24


def slow(*values: Any) -> Any:
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("place"))


@pytest.fixture(scope="module")
def contents(issued: Json, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Json]:
    """What is attacked, by name: of each kind, and one with runs and findings of every kind."""
    files = factories.samples().glob("*.json")
    found = {path.stem: canonical.read_json(path) for path in files}
    explained = factories.certify(factories.explained(tmp_path_factory.mktemp("space")))
    once = factories.replayed(issued)
    return found | {"issued": issued, "replayed once": once, "explained": explained}


def test_what_is_attacked_here_holds(place: Place, contents: dict[str, Json]) -> None:
    for name, content in contents.items():
        assert place.code(content) == (NOT_TRUSTED if name == "unsigned" else VERIFIED), name


# --- every leaf, by somebody without a key -------------------------------------------------------

# An order that nothing tells: every replay is signed, their row is not.
UNORDERED = ("replays",)
KINDS = ("not-reproducible", "unsigned", "inconclusive", "replayed")


def unsigned_mutants(content: Json) -> Iterator[Mutant]:
    yield from attacks.mutants(content)
    for position, sealed in enumerate(content["statements"]):
        for mutant in attacks.mutants(canonical.loads(certificate.payload(sealed))):
            made = partial(with_statement, content, position, mutant, None)
            yield Mutant(("statements", position, "decoded", *mutant.keys), mutant.kind, made)


def with_statement(content: Json, position: int, mutant: Mutant, by: Signer | None) -> Json:
    """Another statement: signed, or under the signatures of the old one."""
    changed = factories.copied(content)
    sealed = certificate.envelope(canonical.dumps(mutant.value), by)
    kept = {} if by else {"signatures": changed["statements"][position]["signatures"]}
    changed["statements"][position] = sealed | kept
    return changed


@pytest.mark.parametrize(
    ("name", "one_in"),
    [
        ("replayed once", 1000), slow("replayed once", SHARE), slow("explained", 8 * SHARE),
        *((kind, 1200) for kind in KINDS), *(slow(kind, 150) for kind in KINDS),
    ],
)  # fmt: skip
def test_a_change_without_the_key_is_refused(
    place: Place, contents: dict[str, Json], name: str, one_in: int
) -> None:
    """None of the mutants is verified, or valid by whomever."""
    count = 0
    for mutant in attacks.drawn(unsigned_mutants(contents[name]), one_in):
        if mutant.keys != UNORDERED:
            assert place.code(mutant.value) in (DOES_NOT_HOLD, MALFORMED), str(mutant)
            count += 1
    assert count > 5_000 // one_in


def test_what_nobody_signs_is_the_row_of_replays(place: Place, issued: Json) -> None:
    """Anybody can append a replay or take one away: a certificate is no proof that none failed."""
    twice = factories.replayed(factories.replayed(issued, LABORATORY), LABORATORY)
    passed = {
        mutant.kind
        for mutant in attacks.mutants(twice)
        if mutant.keys == UNORDERED and place.code(mutant.value) == VERIFIED
    }
    assert passed == {"items 0 and 1 swapped", "without item 0", "without item 1"}


# --- every leaf, by the trusted issuer -----------------------------------------------------------

# What only the issuer can know, so that its word is all there is. A star is any key, two are any
# keys, also none; a colon is followed by the only kinds of change that pass there.
ISSUERS_WORD = {
    "experiment.name": "what the issuer calls it",
    "experiment.overridden.**": "which keys were set by hand: the config has them all",
    "issued": "when it was issued: there is no third party with a clock",
    "how_to_repeat.**": "commands for a reader; nothing runs them",
    "dependencies.**": "pin files, and locks that no record names; replay compares them",
}
# What only a run can know, of itself. It is bound by the digest of its record, and the record by
# nothing: who has the issuer's key can write any. None of it decides about a verdict.
RUNS_WORD = {
    "records.runs.*: key added": "keys that no format knows",
    "records.runs.*.model.**": "what it executed: its layer attribution is compared with it",
    "records.runs.*.repositories.**": "commit and changed files, when it began: the digests of the "
    "code that ran are beside them",
    "records.runs.*.files.**": "what it opened; a file that two runs read is compared",
    "records.runs.*.timing.**": "when it ran, how long, how much memory it took",
    "records.runs.*.process: key added|without pid": "as above",
    "records.runs.*.process.pid": "its number at that time",
    "records.runs.*.process.id": "its process: another id is another process",
    "records.runs.*.machine: key added": "as above",
    "records.runs.*.machine.gpu: object": "no GPU in another spelling",
    "records.runs.*.machine.memory_bytes: one more": "memory is shown in tenths of a GiB",
    "records.runs.*.observed.**": "what it observed of things that were not varied",
    "records.runs.*.variations.applied.*": "how it was varied, in words: what it saw counts",
    "records.runs.*.trace: key added": "as above",
    "records.runs.*.trace.source": "how its trace was taken: the trace's digest counts",
    "records.runs.*.trace.steps: one more|other type": "how many steps it saw: within its rows",
    "records.runs.*.trace.epoch_ends.**": "which steps ended an epoch: the same",
    "records.runs.*.nan.numbers": "how many weights are numbers: whether any is counts",
    "records.runs.*.canary: key added": "as above",
    "records.runs.*.canary.tensors.*.shape.*: other type": "the same number, spelled 2.0",
    "records.runs.*.canary.steps": "how many steps it took: whether it differed counts",
    "records.runs.*.settings: * swapped|without item 16": "another order; a row of no pin",
    "records.runs.*.settings.*: key added": "as above",
    "records.runs.*.settings.*.how": "how a setting was probed, in words",
    "records.runs.*.settings.16.**": "a setting that is not pinned: compared with nothing",
    "records.runs.*.packages: * swapped|without item 2": "another order; pip itself",
    "records.runs.*.packages.*: key added": "as above",
    "records.runs.*.packages.*.name: upper case": "another spelling of one name",
    "records.runs.*.packages.2.version": "pip itself, which the lock leaves open",
    "records.load: key added": "as above",
    "records.load.environment.python.**": "where it was loaded: its lock is named by digest",
    "records.load.environment.packages.**": "as above",
    "records.load.environment: key added": "as above",
    "records.load.source.**": "where the data came from",
    "records.load.refused.**": "where it could not be had",
    "comparisons.*.canary.steps.*.tensors.**": "in which tensors it differs",
    "comparisons.*.self_check: * swapped": "an order without a meaning",
    "comparisons.*.self_check.*.index.**": "where a bit was planted: whether it was found counts",
    "comparisons.*.runs.*.artifacts: * swapped": "an order without a meaning",
    "comparisons.*.runs.*.artifacts.*.differences.**": "how far runs are apart: needs the arrays",
    "comparisons.*.runs.*.divergence.**": "where runs part: needs the arrays",
    "comparisons.*.runs.*.attribution.atlas": "which atlas it was: whoever has it can tell",
}


def fits(mutant: Mutant, pattern: str) -> bool:
    """Whether a mutant is one that a pattern of the lists above lets pass."""
    path, _, kinds = pattern.partition(": ")
    wanted = path.split(".")
    keys = list(map(str, mutant.keys))
    if wanted[-1] == "**":
        wanted.pop()
        keys = keys[: len(wanted)]
    if len(keys) != len(wanted) or not all(map(fnmatchcase, keys, wanted)):
        return False
    return not kinds or any(fnmatchcase(mutant.kind, kind) for kind in kinds.split("|"))


def careful(made: Iterable[Mutant]) -> Iterator[Mutant]:
    """Changed reports with the digests of the evidence that they carry."""
    for mutant in made:
        if mutant.keys[:1] != ("evidence",) and "embedded_digest" not in map(str, mutant.keys):
            yield Mutant(mutant.keys, mutant.kind, partial(with_digests, mutant))


def with_digests(mutant: Mutant) -> Json:
    """The report of who takes care: every document has its embedded digest, and the list theirs."""
    said: Any = mutant.value
    try:
        runs = {name: canonical.with_digest(run) for name, run in said["records"]["runs"].items()}
        load = canonical.with_digest(said["records"]["load"])
        compared = [canonical.with_digest(comparison) for comparison in said["comparisons"]]
        said = {**said, "records": {"load": load, "runs": runs}, "comparisons": compared}
        return {**said, "evidence": report.rebuild(said)["evidence"]}
    except Exception:  # it cannot be graded at all
        return said


def passed(place: Place, content: Json, made: Iterable[Mutant]) -> list[Mutant]:
    """Those mutants of a report that are verified when the issuer signs them."""
    found = []
    for mutant in made:
        code = place.code(factories.signed_again(content, mutant.value, ISSUER))
        assert code != NOT_TRUSTED, str(mutant)
        if code == VERIFIED:
            found.append(mutant)
    return found


def unused(found: list[Mutant], allowed: Iterable[str]) -> list[str]:
    return [one for one in allowed if not any(fits(mutant, one) for mutant in found)]


@pytest.mark.parametrize("takes_care", [False, True])
@pytest.mark.parametrize(
    ("name", "one_in"), [("issued", 500), slow("issued", SHARE), slow("explained", 8 * SHARE)]
)
def test_the_trusted_issuer_can_change_its_own_words_and_no_finding(
    place: Place, contents: dict[str, Json], name: str, one_in: int, takes_care: bool
) -> None:
    """``takes_care``: the documents that the report carries have the digests to match."""
    allowed = ISSUERS_WORD | (RUNS_WORD if takes_care else {})
    made = attacks.drawn(attacks.mutants(contents[name]["report"]), one_in)
    found = passed(place, contents[name], careful(made) if takes_care else made)
    assert [str(m) for m in found if not any(fits(m, one) for one in allowed)] == []
    if one_in == 1 and not takes_care:
        assert unused(found, allowed) == []


def test_nothing_decisive_is_anybodys_word() -> None:
    """The lists above, compared with what must never be in them."""
    decisive = (
        "verdict", "reasons", "reasons.0", "scope.runs", "scope.pinned.0.value",
        "scope.conditions", "scope.variations.0.outcome", "scope.pins.0.outcome",
        "scope.depends_on", "scope.repeatable", "scope.within", "experiment.digest",
        "experiment.config.seed", "evidence.0.sha256", "comparisons", "comparisons.0.identical",
        "comparisons.0.runs.0.identical", "comparisons.0.runs.0.artifacts.0.identical",
        "comparisons.0.runs.0.artifacts.0.digests.0", "comparisons.0.canary.differs",
        "comparisons.0.self_check.0.found", "records.load.digest",
        "records.load.arrays.0.sha256", "records.runs.control.status",
        "records.runs.control.digests.weights", "records.runs.control.experiment",
        "records.runs.control.dataset", "records.runs.control.lock",
        "records.runs.control.config.seed", "records.runs.control.unpinned",
        "records.runs.control.subset", "records.runs.control.settings.0.effective",
        "records.runs.control.packages.0.version", "records.runs.control.source.0.sha256",
        "histories.control.metrics.loss.0", "issuer.keyid", "lock.text",
        "records.runs.control.tensors.weights.0.name",
    )  # fmt: skip
    for path in decisive:
        mutant = Mutant(tuple(path.split(".")), "one character", dict)
        assert unused([mutant], ISSUERS_WORD | RUNS_WORD) == [*ISSUERS_WORD, *RUNS_WORD], path


@pytest.mark.parametrize("one_in", [81, slow(9)])
@pytest.mark.parametrize("position", [0, 1])
def test_a_statement_says_what_the_report_says_whoever_signs(
    place: Place, issued: Json, position: int, one_in: int
) -> None:
    """The issuer signs a changed statement of an honest report."""
    payload = canonical.loads(certificate.payload(issued["statements"][position]))
    for mutant in attacks.drawn(attacks.mutants(payload), one_in):
        changed = with_statement(issued, position, mutant, ISSUER)
        assert place.code(changed) == DOES_NOT_HOLD, str(mutant)


# --- values that are none ----------------------------------------------------------------------


@pytest.mark.parametrize("one_in", [16, slow(1)])
def test_the_value_of_a_leaf_is_never_a_reason_to_crash(
    place: Place, issued: Json, one_in: int
) -> None:
    """Extreme values in places of every kind, signed by the issuer."""
    extremes: tuple[Json, ...] = (
        10**4000, -(10**4000), 1e308, 5e-324, -0.0,
        "\x00", "\x1b[2J", "\u202e", "x" * 100_000, "", [], {}, [[[]]], {"": ""}, None, True,
    )  # fmt: skip
    seen = set[str]()
    for mutant in attacks.mutants(issued["report"]):
        if mutant.kind == "null" and mutant.path not in seen:
            seen.add(mutant.path)
            if len(seen) % one_in:
                continue
            value = extremes[len(seen) % len(extremes)]
            said = attacks.replaced(issued["report"], mutant.keys, value)
            place.code(factories.signed_again(issued, said, ISSUER))
    assert len(seen) > 200


def test_what_is_shown_steers_no_terminal(place: Place, issued: Json) -> None:
    evil = "\x1b[2J\x1b]0;owned\x07\u202e\u2028\r\n\x9b1m"
    for keys in (
        ("experiment", "name"),
        ("how_to_repeat", 0),
        ("records", "runs", "control", "machine", "cpu"),
        ("scope", "same", 0, "what"),
        ("comparisons", 0, "runs", 0, "run"),
        ("evidence", 3, "name"),
    ):
        said = attacks.replaced(issued["report"], keys, evil)
        said = said if keys[0] != "evidence" else said | {"verdict": "INCONCLUSIVE"}
        content = factories.signed_again(issued, said, ISSUER)
        for flags in ((), ("--json",)):
            outcome = place.verify(content, *flags)
            shown = outcome.out + outcome.err
            assert all(c.isprintable() or c == "\n" for c in shown), (keys, shown)
