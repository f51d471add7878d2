"""The pins of a program's run: set before its first line, or as soon as TensorFlow is there.

A program may change most of them afterwards: that is its own setting, which it has in every run.
Nothing here executes an operation while the program imports: it may still choose devices.

Runs on Python 3.7 to 3.13, TensorFlow 2.1 to 2.21.
"""

from __future__ import annotations

import random
from contextlib import ExitStack
from typing import Any, Mapping, Sequence

import numpy as np

from samebits.errors import SamebitsError
from samebits.experiment import pins, variations
from samebits.observation import machine
from samebits.training import replaced_ops, settings, unsound
from samebits.training.settings import Setting

BACKEND = "tensorflow"


class Pins:
    """The settings of a run, probed when they are set and again at the end."""

    def __init__(
        self, content: Mapping[str, Any], unpinned: Sequence[str], ends: ExitStack
    ) -> None:
        """Those of the process, before TensorFlow is imported; Python's and NumPy's seeds."""
        config = content["config"]
        settings.require_unpinnable(config["determinism"], unpinned)
        self._config, self._unpinned, self._ends = config, unpinned, ends
        self._run = content["run"]
        self._profile = pins.unpin(config["determinism"], unpinned)
        varied = variations.variables(content["variations"]["applied"])
        self.found = settings.of_process(self._profile, config["environment"], varied)
        machine.require_gpu(config["framework"]["gpus"])
        self._add(settings.seed_shared(self._profile["seeding"], config["seed"], unpinned))
        self.guard: unsound.Guard | None = None
        self._keras: Any = None

    def _add(self, found: list[Setting]) -> None:
        self.found += found
        settings.require_pinned(self.found)

    def tensorflow(self, tf: Any) -> None:
        """TensorFlow has been imported."""
        framework, seeding = self._config["framework"], self._profile["seeding"]
        settings.apply_to_tensorflow(tf, self._profile)
        self._add(settings.of_tensorflow(tf, framework, self._profile))
        self._add(settings.of_rewriting(tf, self._profile))
        machine.require_visible_gpu(tf, framework["gpus"])
        seed = self._config["seed"]
        self._add([settings.seed_tensorflow(tf, seeding, seed, self._unpinned)])
        self._ends.enter_context(replaced_ops.replaced(tf, self._profile["replacements"] or ()))
        replaces = self._config["determinism"]["isa"] is not None
        guard = unsound.Guard(tf, self.found, replaces, self._run)
        self.guard = self._ends.enter_context(guard)

    def keras(self, keras: Any) -> None:
        """A Keras has been imported. Raises SamebitsError if it computes with another backend."""
        require_backend(getattr(keras.backend, "backend", lambda: BACKEND)())
        if self._keras is None:
            self._keras = keras
            self._add([*settings.of_keras(keras), _policy(keras)])
        if self._profile["seeding"] == "keras":
            seed(keras, self._config["seed"])

    def at_end(self, tf: Any, report: Mapping[str, Any] | None) -> list[dict[str, Any]]:
        """The settings that the program itself has changed. Probes what takes an operation.

        ``report``: what oneDNN told. A program may set its own number of threads.
        """
        self._add(settings.of_replacements(tf, self._profile))
        self._add(settings.of_primitives(self._profile, report)[:1])
        keras = self._keras or tf.keras
        now = [*settings.of_threads(tf, self._profile), *settings.of_rewriting(tf, self._profile)]
        now += [*settings.of_keras(keras), _policy(keras)]
        known = {setting.name: setting for setting in self.found}
        changed = (s for s in now if s.effective != known[s.name].effective)
        return [
            {"name": s.name, "expected": known[s.name].effective, "effective": s.effective}
            for s in changed
        ]


def require_backend(name: str) -> None:
    """Raise SamebitsError for a backend of Keras' whose training is not followed."""
    if name != BACKEND:
        raise SamebitsError(
            f"KERAS_BACKEND={name}: expected {BACKEND}, the one backend whose training can be "
            "followed; take the setting out of the program"
        )


def _policy(keras: Any) -> Setting:
    """The dtype policy of layers, which no determinism profile pins."""
    found = keras.mixed_precision  # TensorFlow 2.1 has it among its experiments
    policy = getattr(found, "dtype_policy", None) or getattr(found, "global_policy", None)
    policy = policy or found.experimental.global_policy
    name = str(getattr(policy(), "name", "float32"))
    return Setting("dtype policy", None, name, "keras.mixed_precision")


def seed(keras: Any, seed: int) -> None:
    """Seed Keras; the program may have seeded the generators that it shares."""
    from tensorflow.python.eager import context

    found, shared = context.context(), (random.getstate(), np.random.get_state())
    kept = {name: vars(found)[name] for name in ("_seed", "_rng") if name in vars(found)}
    keras.utils.set_random_seed(seed)
    random.setstate(shared[0])
    np.random.set_state(shared[1])
    vars(found).update(kept)
