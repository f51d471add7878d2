#!/usr/bin/env python3
"""All measurements: a table on the terminal, and the same as a page and as JSON.

    bench.py [--pairs N] [--only NAME,…] [--output FOLDER]

Each measurement is a program beside this one, and says at its top what it measures; see paired.py.
They run one after the other in a folder of their own, in which environments are built once. One
that fails is shown as failed, and then the exit code is 1.
"""

import argparse
import ast
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import bench_page
from bench_page import Bench, Part
from paired import ROOT, read

from samebits.formats import canonical, files
from samebits.observation import checkout, machine
from samebits.workflow.plan import plan

HERE = Path(__file__).resolve().parent
MEASUREMENTS = (
    "plain", "tracing", "determinism", "portable", "dag", "slurm", "resume", "spot", "digest",
    "stages",
)  # fmt: skip
FORMAT = "samebits-bench-1"
_LONGEST = 300  # characters of an error


def there() -> list[str]:
    """The measurements of this checkout."""
    return [name for name in MEASUREMENTS if (HERE / f"{name}.py").is_file()]


def measured(program: Path, folder: Path, flags: Sequence[str]) -> Part:
    """Run one measurement, which shows its lines as they come."""
    title, _, how = (ast.get_docstring(ast.parse(program.read_text())) or program.stem).partition(
        "\n\n"
    )
    print(f"\n{title}", flush=True)
    results, started = folder / f"{program.stem}.json", time.monotonic()
    results.unlink(missing_ok=True)
    line = [sys.executable, program, "--folder", folder, "--json", results, *flags]
    with tempfile.TemporaryFile() as errors:
        code = subprocess.call(list(map(str, line)), stderr=errors)
        errors.seek(0)
        said = errors.read().decode(errors="replace").strip()
    seconds, lines = round(time.monotonic() - started, 1), tuple(read(results))
    failure = None
    if code or not lines:
        failure = (said.splitlines() or [f"exit code {code}, nothing measured"])[-1][:_LONGEST]
        print(f"{said}\n  FAILED: {failure}", flush=True)
    print(f"  ({seconds:.0f} s)", flush=True)
    return Part(program.stem, title, " ".join(how.split()), lines, seconds, failure)


def _nothing_yet() -> Bench:
    framework = plan({}, ROOT / "conf").first.config["framework"]
    source = checkout.repositories(ROOT, "samebits.models")["checkout"]
    versions = {"Python": platform.python_version(), "TensorFlow": framework["tensorflow"]}
    versions |= {"Snakemake": version("snakemake"), "NumPy": version("numpy")}
    of = machine.record()
    del of["flags"]
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    load = round(os.getloadavg()[0], 2)
    return Bench(now, 0, load, of, versions, source["commit"], bool(source["changed"]))


def write(bench: Bench, folder: Path) -> None:
    """The page and the JSON that it is made of."""
    content = canonical.loads(canonical.dumps({"format": FORMAT} | asdict(bench)))
    canonical.write_json(folder / "bench.json", content)
    files.write_bytes(folder / "bench.html", bench_page.render(bench).encode())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, help="rounds; each measurement has its own number")
    parser.add_argument("--only", default=",".join(there()), help="names, with commas between them")
    parser.add_argument("--output", type=Path, default=ROOT / "results" / "bench")
    options = parser.parse_args()
    options.only = [name for name in options.only.replace(",", " ").split() if name]
    wrong = sorted(set(options.only) - set(there()))
    if wrong or not options.only:
        parser.error(f"expected some of {', '.join(there())}, got {', '.join(wrong) or 'none'}")
    if options.pairs is not None and options.pairs < 1:
        parser.error(f"--pairs: expected 1 or more, got {options.pairs}")
    return options


def main() -> int:
    """Measure, and write what is there after each measurement."""
    options, bench, started = _options(), _nothing_yet(), time.monotonic()
    flags = ["--pairs", str(options.pairs)] if options.pairs else []
    with tempfile.TemporaryDirectory() as name:
        for measurement in options.only:
            part = measured(HERE / f"{measurement}.py", Path(name), flags)
            seconds = round(time.monotonic() - started, 1)
            bench = replace(bench, parts=(*bench.parts, part), seconds=seconds)
            write(bench, options.output)
    print(f"\n{bench_page.summary(bench)}\n{options.output / 'bench.html'}")
    return int(any(part.failure for part in bench.parts))


if __name__ == "__main__":
    sys.exit(main())
