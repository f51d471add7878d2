#!/usr/bin/env python3
"""Measure the pipeline against the published experiment as a plain script, on this machine.

Both train the article's model twice on MNIST with the same TensorFlow; with experiment=article
they give the same history, which is checked here. A pair is one run of each, in turn, so that a
drift of the machine's speed hits both; ratios are taken pair by pair and the median is quoted.
Before the first pair the environments are built and the data is there; each run of the pipeline
starts without results, and signs. The cost of the trace is that of the fit alone, with and
without it.

    bench.py [--pairs N]
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
_SAMPLE_SECONDS = 0.5  # between two looks at the memory of a process tree, which cost CPU
EXPERIMENTS = {
    "make certificate (default: portable)": [],
    "the same, experiment=article (tf28)": ["--config", "experiment=article"],
}


@dataclass(frozen=True)
class Cost:
    """One run: wall and CPU seconds, and the peak of the process tree's memory in MiB."""

    wall: float
    cpu: float
    memory: float


def _memory(root: psutil.Process) -> int:
    """Bytes of memory of a process and those below it that no other process shares."""
    total = 0
    for process in [root, *root.children(recursive=True)]:
        try:
            total += process.memory_full_info().uss
        except psutil.Error:
            continue  # it ended between the listing and the look
    return total


def measure(command: list[str], **options: Any) -> Cost:
    """Run a command to its end. Raises CalledProcessError with its output when it fails."""
    before, started, peak = os.times(), time.monotonic(), [0]
    with tempfile.TemporaryFile() as output:
        child = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, **options)
        done = threading.Event()

        def watch() -> None:
            while not done.wait(_SAMPLE_SECONDS):
                try:
                    peak[0] = max(peak[0], _memory(psutil.Process(child.pid)))
                except psutil.Error:
                    return

        watcher = threading.Thread(target=watch)
        watcher.start()
        code = child.wait()
        wall = time.monotonic() - started
        done.set()
        watcher.join()
        after = os.times()
        output.seek(0)
        if code:
            raise subprocess.CalledProcessError(code, command, output.read())
    cpu = sum(after[2:4]) - sum(before[2:4])
    return Cost(wall, cpu, peak[0] / 2**20)


class Bench:
    """A folder to run in, with environments and data ready."""

    def __init__(self, folder: Path) -> None:
        """Build the environments, load MNIST, write it as one file for the plain script."""
        self.folder, self.arrays = folder, folder / "mnist.npz"
        self.pipeline([])
        python = folder / ".samebits/environments/load/bin/python"
        program = (
            "import sys, numpy as n; from pathlib import Path; "
            "a = Path(sys.argv[1]); i = [e['name'] for e in __import__('json').loads("
            "(a / 'index.json').read_bytes())['arrays']]; "
            "g = lambda k: n.load(a / '{:05d}.npy'.format(i.index(k))); "
            "n.savez(sys.argv[2], x=g('x_train'), y=g('y_train'))"
        )
        (arrays,) = folder.glob("data/mnist-*/arrays")
        subprocess.run([python, "-c", program, arrays, self.arrays], check=True)

    def pipeline(self, config: list[str]) -> Cost:
        """From the start of the command to the certificate on disk."""
        shutil.rmtree(self.folder / "results", ignore_errors=True)
        where = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(self.folder)]
        profile = ["--workflow-profile", str(ROOT / "profiles/default")]
        command = [sys.executable, "-m", "snakemake", "--cores", "all", *where, *profile, *config]
        return measure(command, cwd=ROOT)

    def plain(self) -> Cost:
        """The plain script, in the pipeline's own environment."""
        python = self.folder / ".samebits/environments/train-tf2.21/bin/python"
        output = self.folder / "plain.npz"
        command = [str(python), str(ROOT / "bench/article.py"), "--data", str(self.arrays)]
        return measure([*command, "--recipe", "tf28", "--output", str(output)], cwd=self.folder)

    def fit(self, trace: str) -> float:
        """Seconds of one fit of the default experiment, as the run records them."""
        config = json.loads((self.folder / "results/default/config.json").read_bytes())
        path, output = self.folder / "trace.json", self.folder / "traced"
        path.write_text(json.dumps(config | {"trace": trace}))
        shutil.rmtree(output, ignore_errors=True)
        environment = config["framework"]["environment"]
        (arrays,) = self.folder.glob("data/mnist-*/arrays")
        pinned = {"PYTHONHASHSEED": "0"} | config["determinism"]["environment"]
        command = [
            self.folder / f".samebits/environments/{environment}/bin/python",
            ROOT / "scripts/launch.py", "--log", self.folder / "trace.log",
            *[f"{name}={value}" for name, value in pinned.items()], "--",
            ROOT / "scripts/train.py", "--config", path, "--data", arrays,
            "--lock", ROOT / f"envs/{environment}.lock.txt", "--source-path", self.folder,
            "--run", "control", "--output", output,
        ]  # fmt: skip
        subprocess.run(list(map(str, command)), cwd=self.folder, check=True, capture_output=True)
        record = json.loads((output / "record.json").read_bytes())
        return float(record["timing"]["fit_seconds"])

    def verify(self) -> float:
        """Seconds from the shell to the end of verify, of the default certificate and its files."""
        results = self.folder / "results/default"
        python = self.folder / ".samebits/environments/certify/bin/python"
        command = [str(python), str(ROOT / "scripts/verify.py"), str(results / "certificate.json")]
        started = time.monotonic()
        subprocess.run([*command, "--artifacts", str(results)], check=True, capture_output=True)
        return time.monotonic() - started

    def same_bits(self, config: list[str]) -> bool:
        """Whether pipeline and plain script gave the same history, float for float."""
        self.pipeline(config)
        (history,) = self.folder.glob("results/*/train/control/history.json")
        python = self.folder / ".samebits/environments/load/bin/python"
        program = "import sys, numpy; print(numpy.load(sys.argv[1])['history'])"
        plain = subprocess.check_output([python, "-c", program, self.folder / "plain.npz"])
        return bool(json.loads(history.read_bytes())["metrics"] == json.loads(plain))


def _row(label: str, costs: list[Cost], base: list[Cost]) -> str:
    """Medians of one command and of its ratios to the other, pair by pair."""
    cells = []
    for figure, unit in (("wall", "s"), ("cpu", "s"), ("memory", "MiB")):
        values = [getattr(c, figure) for c in costs]
        ratios = [v / getattr(b, figure) for v, b in zip(values, base, strict=True)]
        cells.append(f"{statistics.median(values):8.1f} {unit:<3} {statistics.median(ratios):5.2f}")
    return f"{label:40}" + "  ".join(cells)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=3)
    pairs = parser.parse_args().pairs
    with tempfile.TemporaryDirectory() as name:
        os.environ["XDG_CONFIG_HOME"] = str(Path(name, "config"))  # a key of the benchmark's own
        bench = Bench(Path(name))
        bench.plain()  # a first run that is not counted: the file cache is warm for both
        print(f"{platform.machine()}, {os.cpu_count()} CPUs, {pairs} pairs; median, ratio")
        print(f"{'':40}{'wall':>18}{'CPU':>20}{'peak memory':>22}")
        for label, config in EXPERIMENTS.items():
            plain, pipeline = [], []
            for _ in range(pairs):
                plain.append(bench.plain())
                pipeline.append(bench.pipeline(config))
            print(_row("plain script, two fits", plain, plain))
            print(_row(label, pipeline, plain), flush=True)
        bench.pipeline([])
        pairs_of_fits = [(bench.fit("step"), bench.fit("off")) for _ in range(3 * pairs)]
        cost = statistics.median(traced / plain for traced, plain in pairs_of_fits)
        print(f"trace: step, against off: {cost:.3f} of the fit's wall time ({3 * pairs} pairs)")
        took = statistics.median(bench.verify() for _ in range(3 * pairs))
        print(f"verify, the default certificate and its files, from the shell: {took:.2f} s")
        same = bench.same_bits(EXPERIMENTS["the same, experiment=article (tf28)"])
        print(f"article: the same history as the plain script, bit for bit: {same}")


if __name__ == "__main__":
    main()
