#!/usr/bin/env python3
"""Load the data set of an experiment.

INPUTS      --config   the `data` part of the resolved config
            --lock     the lock of the environment that runs this
OUTPUTS     --arrays   a folder of .npy files with an index, to be memory-mapped
            --record   the source of the data, refused sources with reasons, digests
GUARANTEES  published data has the pinned SHA-256 from any source, a user's file the SHA-256 in the
            config; labels and shapes are as configured; nothing half-written
"""

import time
from dataclasses import asdict

from samebits.arguments import parser
from samebits.data import datasets
from samebits.errors import run
from samebits.formats import canonical, dataset, files, lockfile
from samebits.text import say

FORMAT = "samebits-load-1"


def main() -> int:
    """Load, check, write arrays and record."""
    started = time.monotonic()
    options = parser(__doc__, "config", "lock", "arrays", "record").parse_args()
    environment = lockfile.environment(options.lock)
    config = canonical.read_json(options.config)["data"]
    options.arrays.parent.mkdir(parents=True, exist_ok=True)
    files.remove_partial(options.arrays)
    loaded = datasets.load(config, say, options.arrays.parent)
    with files.atomic_folder(options.arrays) as folder:
        entries = dataset.write(folder, loaded.arrays)
    record = {
        "format": FORMAT,
        "dataset": config["option"],
        "config": config,
        "source": {"kind": loaded.kind, "where": loaded.where},
        "refused": [asdict(refusal) for refusal in loaded.refused],
        "arrays": entries,
        "digest": canonical.digest(dataset.index(entries)),
        "environment": environment,
        "seconds": round(time.monotonic() - started, 3),
    }
    canonical.write_json(options.record, canonical.with_digest(record))
    say(f"{config['option']} from {loaded.kind} {loaded.where}: {record['digest'][:16]}")
    return 0


if __name__ == "__main__":
    run(main)
