"""Run a program without hooks: with the pins of a config alone, set when program.py sets them.

unhooked.py CONFIG PROGRAM [ARGUMENT…]
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from samebits.formats import canonical
from samebits.program import pinned
from samebits.training import replaced_ops, settings


def main() -> None:
    config = canonical.read_json(Path(sys.argv[1]))
    profile, seed = config["determinism"], config["seed"]
    settings.seed_shared(profile["seeding"], seed)
    import tensorflow as tf

    settings.apply_to_tensorflow(tf, profile)
    settings.seed_tensorflow(tf, profile["seeding"], seed)
    if profile["seeding"] == "keras":
        pinned.seed(tf.keras, seed)
    sys.path.pop(0)
    sys.argv[:] = sys.argv[2:]
    sys.path.insert(0, str(Path(sys.argv[0]).resolve().parent))
    with replaced_ops.replaced(tf, profile["replacements"] or ()):
        runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
