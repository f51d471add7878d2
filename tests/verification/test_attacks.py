"""Whatever is changed in a certificate, by whomever, verify does not call it sound.

Mutants are generated, see tests/attacks.py; what may pass is listed here, each with its reason, and
nothing else does. Every attack goes through verify.py itself: its exit code is what a user has, and
a traceback would fail the test.
"""

import os
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any

import pytest

import attacks
import factories
import samples
from attacks import Mutant, Place
from samebits.certificate import certificate, report
from samebits.formats import canonical
from samebits.verification.levels import DOES_NOT_HOLD, MALFORMED, NOT_TRUSTED, VERIFIED

Json = Any
# All mutants take twenty minutes; `make test-slow` tries one in 24. SAMEBITS_ALL_ATTACKS=1 tries
# all, and looks whether the lists below name anything that does not pass.
ALL = bool(os.environ.get("SAMEBITS_ALL_ATTACKS"))
SHARE = 1 if ALL else 24
# A share of what is tried that takes seconds, and one that is for `make test-slow`.
QUICK, LESS_QUICK = 3, pytest.param(1, marks=pytest.mark.slow)
ISSUER, LABORATORY = attacks.signer(), attacks.signer("laboratory")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("place"))


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Json:
    """A REPRODUCIBLE certificate of two runs."""
    return attacks.certify(factories.workspace(tmp_path_factory.mktemp("space")), ISSUER)


@pytest.fixture(scope="module")
def explained(tmp_path_factory: pytest.TempPathFactory) -> Json:
    """A NOT REPRODUCIBLE certificate with runs and findings of every kind."""
    space, comparisons = attacks.explained(tmp_path_factory.mktemp("space"))
    return attacks.certify(space, ISSUER, comparisons)


def test_what_is_attacked_here_holds(place: Place, issued: Json, explained: Json) -> None:
    assert place.code(issued) == place.code(explained) == VERIFIED
    assert place.code(attacks.replayed(issued, LABORATORY)) == VERIFIED


# --- every leaf, by somebody without a key -------------------------------------------------------

# An order that nothing tells: every replay is signed, their row is not.
UNORDERED = ("replays",)


def unsigned_mutants(content: Json) -> Iterator[Mutant]:
    yield from attacks.mutants(content)
    for position, sealed in enumerate(content["statements"]):
        for mutant in attacks.mutants(canonical.loads(certificate.payload(sealed))):
            changed = attacks.copied(content)
            payload = certificate.envelope(canonical.dumps(mutant.value), None)["payload"]
            changed["statements"][position]["payload"] = payload
            yield Mutant(("statements", position, "decoded", *mutant.keys), mutant.kind, changed)


def refused(place: Place, made: Iterable[Mutant]) -> int:
    """How many mutants there were. None of them may be verified, or be valid by whomever."""
    count = 0
    for mutant in made:
        assert place.code(mutant.value) in (DOES_NOT_HOLD, MALFORMED), str(mutant)
        count += 1
    return count


def test_some_changes_of_every_kind_are_refused(place: Place, issued: Json) -> None:
    content = attacks.replayed(issued, LABORATORY)
    assert refused(place, attacks.drawn(unsigned_mutants(content), 200)) > 50


@pytest.mark.slow
def test_every_change_of_anything_is_refused(place: Place, issued: Json) -> None:
    content = attacks.replayed(issued, LABORATORY)
    assert refused(place, attacks.drawn(unsigned_mutants(content), SHARE)) > 10_000 // SHARE


@pytest.mark.slow
def test_changes_of_a_certificate_with_all_findings_are_refused(
    place: Place, explained: Json
) -> None:
    assert refused(place, attacks.drawn(unsigned_mutants(explained), 8 * SHARE)) > 2_000 // SHARE


@pytest.mark.parametrize("share", [QUICK, LESS_QUICK])
@pytest.mark.parametrize("name", ["not-reproducible", "unsigned", "inconclusive", "replayed"])
def test_some_changes_of_a_certificate_of_each_kind_are_refused(
    place: Place, name: str, share: int
) -> None:
    content = canonical.read_json(samples.folder() / f"{name}.json")
    made = (m for m in attacks.mutants(content) if m.keys != UNORDERED)
    assert refused(place, attacks.drawn(made, 150 * share)) > 40 // share


def test_what_nobody_signs_is_the_row_of_replays(place: Place, issued: Json) -> None:
    """Anybody can append a replay or take one away: a certificate is no proof that none failed."""
    twice = attacks.replayed(attacks.replayed(issued, LABORATORY), LABORATORY)
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
    "source.commit": "the commit: the digests of the code that ran are in the records",
    "source.dirty": "whether files differed from that commit",
    "how_to_repeat.**": "commands for a reader; nothing runs them",
    "dependencies.**": "locks and pin files of the stages that did not train; replay compares them",
}
# What only a run can know, of itself. It is bound by the digest of its record, and the record by
# nothing: who has the issuer's key can write any. None of it decides about a verdict.
RUNS_WORD = {
    "records.runs.*: key added|without timing|without model": "keys that no format knows, or that "
    "need not be",
    "records.runs.*.model.**": "what it executed: its layer attribution is compared with it",
    "records.runs.*.timing.**": "when it ran, how long, how much memory it took",
    "records.runs.*.process: key added|without pid": "as above",
    "records.runs.*.process.pid": "its number at that time",
    "records.runs.*.process.id": "its process: another id is another process",
    "records.runs.*.machine: key added|without gpu": "as above; no GPU in another spelling",
    "records.runs.*.machine.gpu: object": "no GPU in another spelling",
    "records.runs.*.machine.memory_bytes: one more": "memory is shown in tenths of a GiB",
    "records.runs.*.observed.**": "what it observed of things that were not varied",
    "records.runs.*.variations.applied.*": "how it was varied, in words: what it saw counts",
    "records.runs.*.trace: key added|without loss|without source|without steps": "as above",
    "records.runs.*.trace.loss": "whose loss it was: the trace's digest counts",
    "records.runs.*.trace.source": "how its trace was taken: the same",
    "records.runs.*.trace.steps": "how many steps it saw: the same",
    "records.runs.*.canary: key added": "as above",
    "records.runs.*.canary.seed: other type": "a whole number is one with and without .0",
    "records.runs.*.canary.steps": "how many steps it took: whether it differed counts",
    "records.runs.*.settings: * swapped|without item 12": "another order; a row of no pin",
    "records.runs.*.settings.*: key added": "as above",
    "records.runs.*.settings.*.how": "how a setting was probed, in words",
    "records.runs.*.settings.12.**": "a setting that is not pinned: held against nothing",
    "records.runs.*.packages: * swapped|without item 1": "another order; pip itself",
    "records.runs.*.packages.*: key added": "as above",
    "records.runs.*.packages.*.name: upper case": "another spelling of one name",
    "records.runs.*.packages.1.version": "pip itself, which the lock leaves open",
    "records.load: key added|without config": "as above",
    "records.load.config.**": "how the data was loaded: the digest of the arrays counts",
    "records.load.dataset": "what the data is called",
    "records.load.source.**": "where the data came from",
    "records.load.refused.**": "where it could not be had",
    "comparisons.*.canary.run": "which run the canary was trained in",
    "comparisons.*.canary.seed: other type": "as above",
    "comparisons.*.canary.step: one more|other type": "whether before or after the first step",
    "comparisons.*.canary.tensors.**": "in which tensors",
    "comparisons.*.self_check: * swapped": "an order without a meaning",
    "comparisons.*.self_check.*.name": "where a bit was planted: whether it was found counts",
    "comparisons.*.self_check.*.index.**": "as above",
    "comparisons.*.runs.*.artifacts: * swapped": "an order without a meaning",
    "comparisons.*.runs.*.artifacts.*.differences.**": "how far runs are apart: needs the arrays",
    "comparisons.*.runs.*.divergence.**": "where runs part: needs the arrays",
    "comparisons.*.runs.*.attribution.atlas": "which atlas it was: whoever has it can tell",
    "lock.name": "what the lock is called: its digest counts",
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
            yield Mutant(mutant.keys, mutant.kind, with_digests(mutant.value))


def with_digests(said: Json) -> Json:
    """The report of who takes care: every document has its embedded digest, and the list theirs."""
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
        code = place.code(attacks.signed_again(content, mutant.value, ISSUER))
        assert code != NOT_TRUSTED, str(mutant)
        if code == VERIFIED:
            found.append(mutant)
    return found


def unexpected(found: Iterable[Mutant], allowed: Iterable[str]) -> list[str]:
    allowed = list(allowed)
    return [str(mutant) for mutant in found if not any(fits(mutant, one) for one in allowed)]


def unused(found: list[Mutant], allowed: Iterable[str]) -> list[str]:
    return [one for one in allowed if not any(fits(mutant, one) for mutant in found)]


def test_the_trusted_issuer_can_change_nothing_but_its_own_words(
    place: Place, issued: Json
) -> None:
    found = passed(place, issued, attacks.drawn(attacks.mutants(issued["report"]), 120))
    assert unexpected(found, ISSUERS_WORD) == []


def test_the_trusted_issuer_who_takes_care_can_change_no_finding(
    place: Place, issued: Json
) -> None:
    found = passed(place, issued, careful(attacks.drawn(attacks.mutants(issued["report"]), 120)))
    assert unexpected(found, ISSUERS_WORD | RUNS_WORD) == []


@pytest.mark.slow
def test_the_trusted_issuer_can_change_nothing_at_all_but_its_own_words(
    place: Place, issued: Json
) -> None:
    found = passed(place, issued, attacks.drawn(attacks.mutants(issued["report"]), SHARE))
    assert unexpected(found, ISSUERS_WORD) == []
    assert not ALL or unused(found, ISSUERS_WORD) == []


@pytest.mark.slow
def test_the_trusted_issuer_who_takes_care_can_change_no_finding_at_all(
    place: Place, issued: Json
) -> None:
    found = passed(place, issued, careful(attacks.drawn(attacks.mutants(issued["report"]), SHARE)))
    assert unexpected(found, ISSUERS_WORD | RUNS_WORD) == []


@pytest.mark.slow
@pytest.mark.parametrize("evident", [False, True])
def test_the_trusted_issuer_can_change_no_finding_of_any_kind(
    place: Place, explained: Json, evident: bool
) -> None:
    allowed = ISSUERS_WORD | (RUNS_WORD if evident else {})
    made = attacks.drawn(attacks.mutants(explained["report"]), 8 * SHARE)
    made = careful(made) if evident else made
    assert unexpected(passed(place, explained, made), allowed) == []


def test_nothing_decisive_is_anybodys_word() -> None:
    """The lists above, held against what must never be in them."""
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
        mutant = Mutant(tuple(path.split(".")), "one character", None)
        assert unused([mutant], ISSUERS_WORD | RUNS_WORD) == [*ISSUERS_WORD, *RUNS_WORD], path


@pytest.mark.parametrize("share", [QUICK, LESS_QUICK])
@pytest.mark.parametrize("position", [0, 1])
def test_a_statement_says_what_the_report_says_whoever_signs(
    place: Place, issued: Json, position: int, share: int
) -> None:
    """The issuer signs a changed statement of an honest report."""
    payload = canonical.loads(certificate.payload(issued["statements"][position]))
    for mutant in attacks.drawn(attacks.mutants(payload), 9 * share):
        changed = attacks.copied(issued)
        sealed = certificate.envelope(canonical.dumps(mutant.value), ISSUER)
        changed["statements"][position] = sealed
        assert place.code(changed) == DOES_NOT_HOLD, str(mutant)


# --- values that are none ----------------------------------------------------------------------


@pytest.mark.parametrize("share", [QUICK, LESS_QUICK])
def test_the_value_of_a_leaf_is_never_a_reason_to_crash(
    place: Place, issued: Json, share: int
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
            if len(seen) % share:
                continue
            value = extremes[len(seen) % len(extremes)]
            said = attacks.replaced(issued["report"], mutant.keys, value)
            place.code(attacks.signed_again(issued, said, ISSUER))
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
        content = attacks.signed_again(issued, said, ISSUER)
        for flags in ((), ("--json",)):
            outcome = place.verify(content, *flags)
            shown = outcome.out + outcome.err
            assert all(c.isprintable() or c == "\n" for c in shown), (keys, shown)
