#!/usr/bin/env python3
"""Build the graph of the atlas's battery and its inputs, for one TensorFlow.

INPUTS      --lock    the lock of the environment that this runs in
            --only    the name of an op; may be repeated. Without it: all of them
OUTPUTS     --output  a folder: battery.json (results, missing ops, versions, the SHA-256 of the
                      other files), graph.pb, feeds.npz
GUARANTEES  every condition is probed with the very same graph and inputs, made once, natively; the
            inputs are the same on every machine; an op that this TensorFlow cannot do is listed
            with its reason

Runs on Python 3.7 to 3.13, TensorFlow 2.8 to 2.21.
"""

from __future__ import annotations

import numpy as np

from atlas import battery
from samebits.arguments import parser
from samebits.errors import SamebitsError, run
from samebits.formats import canonical, files, lockfile
from samebits.text import say
from samebits.training.record import framework

FORMAT = "samebits-battery-1"


def main() -> int:
    """Build, write."""
    flags = parser(__doc__, "lock", "output")
    flags.add_argument("--only", action="append", default=[], metavar="NAME")
    options = flags.parse_args()
    record = lockfile.environment(options.lock)
    import tensorflow as tf

    operations = battery.operations(tf)
    unknown = sorted(set(options.only) - {operation.name for operation in operations})
    if unknown:
        listed = ", ".join(unknown)
        raise SamebitsError(f"--only: not in the battery: {listed}; see studies/atlas/ops")
    chosen = [o for o in operations if not options.only or o.name in options.only]
    made = battery.build(tf, chosen)
    with files.atomic_folder(options.output) as folder:
        files.write_bytes(folder / "graph.pb", made.graph.SerializeToString(deterministic=True))
        np.savez(str(folder / "feeds.npz"), **made.feeds)  # type: ignore[arg-type]
        content = {
            "format": FORMAT,
            "fed": made.fed,
            "results": made.results,
            "missing": made.missing,
            "framework": framework(tf, options.lock),
            "lock": record["lock"],
            "files": {name: files.digest(folder / name) for name in ("graph.pb", "feeds.npz")},
        }
        canonical.write_json(folder / "battery.json", content)
    say(f"battery: {len(made.results)} results, {len(made.missing)} missing")
    return 0


if __name__ == "__main__":
    run(main)
