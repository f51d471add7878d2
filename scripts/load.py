#!/usr/bin/env python3
"""Load the data set of an experiment, or list what goes into a program.

INPUTS      --config   the `data` part of the resolved config, or `inputs` of a program
            --source-path  the folder of a program's project, in which its inputs lie
            --lock     the lock of the environment that runs this
OUTPUTS     --arrays   a folder of .npy files with an index, to be memory-mapped; of a program
                       inputs.json, which lists each file by digest
            --record   the source of the data, refused sources with reasons, digests
GUARANTEES  published data has the pinned SHA-256 from any source, a user's file the SHA-256 in the
            config; labels and shapes are as configured; nothing half-written
"""

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from samebits.arguments import parser
from samebits.data import datasets, downloads, inputs
from samebits.data.downloads import Store
from samebits.errors import run
from samebits.formats import canonical, dataset, files, lockfile
from samebits.text import say

FORMAT = "samebits-load-1"


def _arrays(config: Mapping[str, Any], output: Path) -> dict[str, Any]:
    """Write a data set; the part of the record that says what it is."""
    files.remove_partial(output)
    loaded = datasets.load(config, say, output.parent)
    with files.atomic_folder(output) as folder:
        entries = dataset.write(folder, loaded.arrays)
    return {
        "dataset": config["option"],
        "config": config,
        "source": {"kind": loaded.kind, "where": loaded.where},
        "refused": [asdict(refusal) for refusal in loaded.refused],
        "arrays": entries,
        "digest": canonical.digest(dataset.index(entries)),
    }


def _inputs(wanted: list[Any], project: Path, output: Path) -> dict[str, Any]:
    """List the inputs of a program; the part of the record that says what they are."""
    store = Store(output.parents[1] / downloads.FOLDER)
    entries = inputs.entries(wanted, project, store)
    with files.atomic_folder(output) as folder:
        digest = canonical.write_json(folder / inputs.INDEX, entries)
    size = sum(entry["bytes"] for entry in entries)
    return {
        "dataset": "inputs",
        "config": {"inputs": wanted},
        "source": {"kind": "the program's inputs", "where": f"{len(entries)} files, {size} bytes"},
        "refused": [],
        "arrays": [],
        "inputs": entries,
        "digest": digest,
    }


def main() -> int:
    """Load, check, write arrays and record."""
    started = time.monotonic()
    flags = parser(__doc__, "config", "lock", "arrays", "record", optional=["source-path"])
    options = flags.parse_args()
    environment = lockfile.environment(options.lock)
    config = canonical.read_json(options.config)
    options.arrays.parent.mkdir(parents=True, exist_ok=True)
    if "data" in config:
        found = _arrays(config["data"], options.arrays)
    else:
        found = _inputs(config["inputs"], options.source_path, options.arrays)
    record = found | {
        "format": FORMAT,
        "environment": environment,
        "seconds": round(time.monotonic() - started, 3),
    }
    canonical.write_json(options.record, canonical.with_digest(record))
    source = "{kind} {where}".format(**record["source"])
    say(f"{record['dataset']} from {source}: {record['digest'][:16]}")
    return 0


if __name__ == "__main__":
    run(main)
