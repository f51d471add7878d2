"""What a report says in words. Every sentence is derived from the report's facts, none is in it."""

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from samebits.certificate.report import survived
from samebits.formats.names import (
    INCONCLUSIVE,
    NOT_REPRODUCIBLE,
    REPRODUCIBLE,
    UNSUPPORTED,
    WITHIN_TOLERANCE,
)
from samebits.text import few, listed

Report = Mapping[str, Any]

TITLES = {  # of artefacts
    "history": "History",
    "weights": "Final weights",
    "optimizer": "Optimizer state",
    "trace": "Trace",
}

# What a person would call the surroundings of a run: where it ran, not what ran.
_SURROUNDINGS = ("CPU model", "number of CPUs", "GPU", "operating system", "C library")


def statement(report: Report) -> str:
    """The verdict as a sentence."""
    runs = _count(report["scope"]["runs"])
    return _STATEMENTS[report["verdict"]].format(runs=runs)


_STATEMENTS = {
    REPRODUCIBLE: "{runs} trainings of this experiment ended in the same bits.",
    WITHIN_TOLERANCE: "{runs} trainings of this experiment ended close together, in other bits.",
    NOT_REPRODUCIBLE: "{runs} trainings of this experiment did not end in the same bits.",
    UNSUPPORTED: "TensorFlow refuses to train this experiment deterministically.",
    INCONCLUSIVE: "The evidence does not show whether this experiment is reproducible.",
}


def _count(number: int) -> str:
    words = {1: "One", 2: "Two", 3: "Three", 4: "Four", 5: "Five"}
    return words.get(number, str(number))


def shows(report: Report) -> Iterator[str]:
    """What the evidence shows."""
    verdict, unchanged = report["verdict"], survived(report)
    if verdict == REPRODUCIBLE:
        yield (
            "Every loss and metric of every epoch, every fingerprint of the weights on the way, "
            "every final weight and every value of the optimizer is equal in all bits, not just "
            "close."
        )
        yield (
            "The runs were separate processes that loaded the same data, and each confirmed from "
            "inside that the pinned settings below were in effect."
        )
        yield "The packages were at exactly the versions that the lock file names."
    if unchanged and verdict in (REPRODUCIBLE, NOT_REPRODUCIBLE, WITHIN_TOLERANCE):
        yield f"The bits stayed the same under another {listed(unchanged)}."
    if verdict == WITHIN_TOLERANCE:
        yield "No number differs by more than the experiment's own tolerance. The bits do differ."
    if verdict == NOT_REPRODUCIBLE:
        yield (
            "Pinned as listed below, the same code on the same data gave different numbers. Which "
            "ones, and how far apart, is in the table of differences."
        )
    if report["scope"]["conditions"]:
        needed = listed(report["scope"]["conditions"])
        yield f"They hold only with these pinned, since lifting any gave other bits: {needed}."
    if verdict == UNSUPPORTED:
        yield (
            "The model or its input uses an operation for which this version of TensorFlow has "
            "no deterministic way, and it stopped instead of giving numbers that may change."
        )


def limits(report: Report) -> Iterator[str]:
    """What the evidence does not show."""
    verdict, scope = report["verdict"], report["scope"]
    if verdict == INCONCLUSIVE:
        yield "Anything about the experiment: evidence is missing or contradicts itself."
    if verdict == NOT_REPRODUCIBLE and not scope["depends_on"]:
        yield "Why the runs differ, or that they would differ in the same way next time."
    if verdict == UNSUPPORTED:
        yield "Whether the experiment repeats without op determinism: it was not tried."
    if verdict in (REPRODUCIBLE, WITHIN_TOLERANCE):
        names = [fact["what"] for fact in scope["same"] if fact["what"] in _SURROUNDINGS]
        if names:
            yield (
                f"That the bits stay the same elsewhere: {listed(names)} "
                f"{'were' if len(names) > 1 else 'was'} the same in all runs."
            )
        yield "That the runs would be equal every time: a rare race can stay unseen in a few runs."
    if any(variation["key"] == "cpu" for variation in scope["variations"]):
        yield _EMULATION
    yield "That the model is good, or the data right: equal bits say nothing about quality."
    if report["issuer"]["keyid"] is None:
        yield "Who made this certificate: it is UNSIGNED. Anyone can check it by repeating it."
    else:
        yield "Who holds the key that signed this certificate: that is for you to know."


_EMULATION = (
    "What a real chip of another model would do in every case. The emulator offers the model's "
    "instruction sets, so other code paths are taken, and it computes approximate instructions "
    "(reciprocal square root) exactly, so a dependence on these is found; it shows nothing about "
    "speed, caches or errors of a real chip, and only the first samples were trained on."
)


def at_step(step: int | None) -> str:
    """When a layer's own tensors first differ, in a table."""
    if step is None:
        return "in no tensor of its own"
    return f"step {step:,}" if step else "the start"


# --- commands ----------------------------------------------------------------------------------


def verify_command(path: str) -> str:
    """What checks a certificate."""
    return f"make verify CERTIFICATE={shlex.quote(path)}"


def replay_command(path: str) -> str:
    """What trains again and holds the outcome against a certificate."""
    return f"snakemake --cores all replay --config certificate={shlex.quote(path)}"


# --- where two runs part -----------------------------------------------------------------------


def where(divergence: Mapping[str, Any]) -> str:
    """The first step and tensors that differ."""
    step, tensors = divergence["step"], few(divergence["tensors"])
    if step is None:
        return "The weights agree wherever the traces have a row."
    if step == 0:
        return f"They differ before the first step, in {tensors}."
    epoch = f", in epoch {divergence['epoch']}" if divergence["epoch"] else ""
    return f"The first difference comes with step {step:,}{epoch}, in {tensors}."


def loss(divergence: Mapping[str, Any]) -> Iterator[str]:
    """Whether the loss could have told earlier, and how exact the traces are."""
    step, seen = divergence["step"], divergence["loss_step"]
    if seen is None:
        yield "No loss differs."
    elif step is None:
        yield f"The loss differs, first at step {seen:,}."
    elif divergence["loss_first"]:
        yield f"The loss differs before any tensor does, at step {seen:,}."
    elif seen == step:
        yield "The loss differs at the same step, not before."
    else:
        yield f"The loss shows it only later, at step {seen:,}."
    if divergence["every"] == "epoch":
        yield "The traces have a row per epoch, so it may be up to an epoch earlier."
    if divergence["every"] == "off":
        yield "No trace was kept but for the first weights, so the step is not known."
