"""What claim.py measures, made up: no training, no TensorFlow."""

from typing import Any

VERSIONS = ("2.1.0", "2.8.0", "2.21.0")


def error(kind: str = "RuntimeError", refusal: str | None = None) -> dict[str, Any]:
    """An error as a program records it."""
    return {"type": kind, "message": "no seed", "refusal": refusal}


def value(content: str, failed: dict[str, Any] | None = None) -> dict[str, Any]:
    """An expression's value, or its error."""
    return {"expression": 'hash("x")', "value": None if failed else content, "error": failed}


def training(
    history: str, failed: dict[str, Any] | None = None, before: str = "a", drawn: bool = False
) -> dict[str, Any]:
    """A training with this history, and what became of the generators."""
    generator = {"before": before, "drawn": drawn}
    return {
        "history": None if failed else history,
        "error": failed,
        "generators": {"Python": generator, "NumPy": generator},
    }


def program(
    *trainings: dict[str, Any], values: tuple[dict[str, Any], ...] = (), unmet: tuple[str, ...] = ()
) -> dict[str, Any]:
    """What one program measured."""
    return {"unmet": list(unmet), "values": list(values), "trainings": list(trainings)}


def results(reason: str = "all histories equal") -> list[dict[str, Any]]:
    """One result per claim and TensorFlow version; the outcomes take turns."""
    from dataclasses import asdict

    from samebits import claims

    words = (claims.YES, claims.NO, claims.NOT_APPLICABLE, claims.NOT_SHOWN)
    measured = program(training("e" * 64), training("f" * 64), values=(value("1" * 500),))
    return [
        {
            "format": "samebits-claim-1",
            "claim": claim.key,
            "sentence": claim.sentence,
            "outcome": words[(place + turn) % len(words)],
            "reason": reason,
            "programs": [asdict(program) | {"measured": measured} for program in claim.programs],
            "seconds": 1.5,
            "experiment": {"dataset": "d" * 64, "samples": 6400, "epochs": 3},
            "versions": {"python": "3.11.7", "tensorflow": version, "keras": None, "lock": "c"},
            "machine": {"cpu": "A CPU", "cpus": 2, "os": "Linux"},
        }
        for turn, claim in enumerate(claims.CLAIMS)
        for place, version in enumerate(VERSIONS)
    ]
