"""What Snakemake calls as `conda`; see this folder's __init__.py.

CONDA_STANDIN_CHANNEL is the folder that stands for conda-forge.
"""

import argparse
import asyncio
import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlparse

import yaml
from conda_package_streaming.package_streaming import stream_conda_info
from rattler import Channel, PackageRecord, RepoDataRecord, install, solve

_CHANNEL = Path(os.environ["CONDA_STANDIN_CHANNEL"])
_VERSION = "24.9.0"  # the first whose explicit files take sha256
_FIXED = {
    ("--version",): f"conda {_VERSION}",
    ("info", "--json"): json.dumps(
        {
            "conda_prefix": str(_CHANNEL.parent),
            "platform": "linux-64",
            "conda_version": _VERSION,
        }
    ),
    ("clean", "-y", "--tarballs"): "",
    ("clean", "-y", "--tarballs", "--packages"): "",
    ("config", "--get", "channel_priority", "--json"): '{"get": {"channel_priority": "strict"}}',
}


async def _from_definition(file: Path) -> list[RepoDataRecord]:
    """What a yaml asks for, solved: Snakemake falls back to it when the pins fail."""
    wanted = yaml.safe_load(file.read_text())["dependencies"]
    channel = Channel(_CHANNEL.as_uri())
    return await solve([channel], wanted, platforms=["linux-64", "noarch"])


def _pinned(line: str) -> RepoDataRecord:
    """The package of one explicit line. Exits when its archive is not the pinned one."""
    url, _, expected = line.partition("#")
    archive = Path(unquote(urlparse(url).path))
    got = hashlib.sha256(archive.read_bytes()).hexdigest()
    if got != expected:
        sys.exit(f"conda stand-in: ChecksumMismatch {url}: expected {expected}, got {got}")
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder, "index.json")
        for content, member in stream_conda_info(str(archive)):
            if member.name == "info/index.json":
                file = content.extractfile(member)
                assert file
                index.write_bytes(file.read())
        record = PackageRecord.from_index_json(index, sha256=got, size=archive.stat().st_size)
    return RepoDataRecord(record, archive.name, url, _CHANNEL.as_uri())


async def _create(file: Path, prefix: Path, explicit: bool) -> None:
    if explicit:
        lines = [line for line in file.read_text().splitlines() if line.startswith("file:")]
        records = [_pinned(line) for line in lines]
    else:
        records = await _from_definition(file)
    # A cache of its own: a user's real one must not serve, nor keep, what tests make.
    cache = _CHANNEL.parent / "cache"
    await install(records, target_prefix=prefix, cache_dir=cache, show_progress=False)


def main(arguments: list[str]) -> None:
    """One conda command."""
    if tuple(arguments) in _FIXED:
        print(_FIXED[tuple(arguments)])
        return
    explicit = arguments[:1] == ["create"]
    if not explicit and arguments[:2] != ["env", "create"]:
        sys.exit(f"conda stand-in: not a call that Snakemake makes: {arguments}")
    parser = argparse.ArgumentParser()
    for flag in ("--quiet", "--yes", "--no-default-packages"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--file", type=Path, required=True)
    parser.add_argument("--prefix", type=Path, required=True)
    options = parser.parse_args(arguments[1 if explicit else 2 :])
    asyncio.run(_create(options.file, options.prefix.absolute(), explicit))
    sys.stdout.flush()
    # rattler's threads may still drop Python objects: while the interpreter ends, that crashes it.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
