"""What an experiment pins, one name each, and what unpinning one means: is it needed?

A pin is unpinned by setting another value, the same one each time, so that the question has an
answer on every machine; an unpinned seed is drawn anew. Runs on Python 3.7 to 3.13.
"""

from __future__ import annotations

import re
from typing import Any, Container, Iterable, Mapping

TITLES: dict[str, str] = {
    "hash_seed": "hash seed",
    "op_determinism": "op determinism",
    "intra_op_threads": "intra-op threads",
    "inter_op_threads": "inter-op threads",
    "onednn": "oneDNN",
    "isa": "oneDNN ISA",
    "replacements": "replaced ops",
    "rewriting": "graph rewriting",
    "python_seed": "Python seed",
    "numpy_seed": "NumPy seed",
    "tensorflow_seed": "TensorFlow seed",
}
# What TensorFlow does when nothing is said: that pins nothing.
_AS_USUAL: dict[str, Any] = {"op_determinism": False, "replacements": [], "rewriting": True}
# What Keras has unless keras.json, which no run can see, says otherwise.
KERAS = {
    "Keras backend": "tensorflow",
    "Keras epsilon": 1e-07,
    "Keras floatx": "float32",
    "Keras image data format": "channels_last",
}
SEEDS = ("python_seed", "numpy_seed", "tensorflow_seed")
# The TensorFlow that a profile's pin needs: in 2.8 even a square root is approximate, inside of
# optimizers too.
_NEEDS = dict.fromkeys(("replacements", "rewriting"), (2, 21))
# Replaced only where several threads share one product (docs/same-bits.md).
_OF_THREADS = ("mat_mul", "batch_mat_mul", "einsum")
# Environment variables through which a pin is set.
_VARIABLES = {
    "op_determinism": ("TF_DETERMINISTIC_OPS",),
    "onednn": ("TF_ENABLE_ONEDNN_OPTS",),
    "isa": ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"),
}


def pinned(profile: Mapping[str, Any]) -> list[str]:
    """The names of what a determinism profile pins."""
    names = [name for name in TITLES if profile.get(name) is not None]
    names = [name for name in names if profile[name] != _AS_USUAL.get(name)]
    return names + (list(SEEDS) if profile["seeding"] is not None else [])


def version(tensorflow: str) -> tuple[int, ...]:
    """A version's numbers, for comparisons; empty for a text that has none."""
    return tuple(map(int, re.findall(r"\d+", tensorflow)))


def possible(
    profile: Mapping[str, Any], tensorflow: str, asked: Container[str] = ()
) -> dict[str, Any]:
    """A profile without what needs a later TensorFlow or more threads, unless it is asked for."""
    early = [pin for pin, least in _NEEDS.items() if version(tensorflow) < least]
    early = [pin for pin in early if pin not in asked]
    made = {**profile, **dict.fromkeys(early)}
    if made["intra_op_threads"] == 1 and made["replacements"] and "replacements" not in asked:
        made["replacements"] = [op for op in made["replacements"] if op not in _OF_THREADS]
    return made


def unpin(profile: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The profile with these pins at another value, and the variables that carry them.

    An unpinned seed changes nothing here: the run draws it after seeding as the profile says.
    """
    changed = dict(profile, environment=dict(profile["environment"]))
    for name in names:
        if name not in SEEDS:
            changed[name] = _other(name, profile[name])
            for variable in _VARIABLES.get(name, ()):
                if variable in changed["environment"]:
                    changed["environment"][variable] = _said(changed[name])
    return changed


def _other(name: str, value: Any) -> Any:
    if name == "hash_seed":
        return value + 1
    if name == "isa":
        return "AVX2" if value == "SSE41" else "SSE41"
    if name in ("intra_op_threads", "inter_op_threads"):
        return 2 if value == 1 else 1
    if name == "replacements":
        return []
    return not value  # oneDNN, op determinism, rewriting


def _said(value: Any) -> str:
    """As an environment variable has it."""
    return str(int(value)) if isinstance(value, bool) else str(value)
