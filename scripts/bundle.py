#!/usr/bin/env python3
"""Put a certificate and the evidence that it lists into one file that can be handed on.

INPUTS      --certificate  what certify.py issued
            --config       the resolved config
            --lock         the lock of the environment that the runs trained in
            --load-record  what load.py recorded
            --run          a folder that train.py wrote; once per run
            --comparison   what compare.py measured; once per comparison
OUTPUTS     --output       certificate.zip: certificate.json, every document that its report lists,
                           by the name that it has there, the arrays of every index among them,
                           and the control's state after each epoch where it has checkpoints
GUARANTEES  the same files give the same bytes, everywhere; a document has the digest that the
            certificate names; nothing else is in it, the data set neither; whole or not there
"""

import argparse
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from samebits import errors
from samebits.formats import arrays, bundle, canonical, files, states


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Put a certificate and its evidence in one file.")
    for name in ("certificate", "config", "lock", "load-record", "output"):
        parser.add_argument(f"--{name}", required=True, type=Path)
    for name in ("run", "comparison"):
        parser.add_argument(f"--{name}", required=True, type=Path, action="append")
    return parser.parse_args()


def _documents(report: Any) -> dict[str, str]:
    """The digests of the documents that were there, by name."""
    return {d["name"]: d["sha256"] for d in report["evidence"] if d["sha256"] is not None}


def _arrays(report: Any, documents: Iterable[str]) -> Iterator[str]:
    """The names of the arrays beside each index that the report understood."""
    for name in documents:
        for position in range(len(report["indices"].get(name, {"arrays": []})["arrays"])):
            yield arrays.array_path(Path(name).parent, position).as_posix()


class _Given:
    """The files that the flags name, under the names that a certificate has for them."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._files: dict[str, Path] = {
            "config.json": options.config,
            "load/record.json": options.load_record,
            f"envs/{options.lock.name}": options.lock,
        }
        self._files |= {f"compare/{path.name}": path for path in options.comparison}
        self._runs: dict[str, Path] = {f"train/{path.name}": path for path in options.run}

    def path(self, name: str) -> Path | None:
        """Where a file lies; None when no flag names it."""
        top, _, below = name.partition("/")
        run, _, rest = below.partition("/")
        if name not in self._files and f"{top}/{run}" in self._runs:
            return self._runs[f"{top}/{run}"] / rest
        return self._files.get(name)


def _kept(report: Any, given: _Given) -> Iterator[str]:
    """The names of the arrays of the control's checkpoints, which only their indices list."""
    for folder in states.kept(report):
        path = given.path(folder)
        if path is not None and (path / arrays.INDEX).is_file():
            for position in range(len(arrays.read_index(path))):
                yield arrays.array_path(Path(folder), position).as_posix()


def _problems(given: _Given, names: Iterable[str], digests: Mapping[str, str]) -> Iterator[str]:
    """Which files are not there, or are not those that the certificate was issued on."""
    for name in names:
        path = given.path(name)
        if path is None:
            yield f"{name}: in no file or folder that was given"
        elif not path.is_file():
            yield f"{name}: {path} is not there"
        elif name in digests and (got := files.digest(path)) != digests[name]:
            yield f"{name}: {path} has SHA-256 {got}, not {digests[name]}"


def _listed(path: Path, given: _Given) -> tuple[dict[str, str], list[str]]:
    """What a certificate lists: the digests of its documents, and the names of all files."""
    try:
        report = canonical.read_json(path)["report"]
        digests = _documents(report) | {
            f"{folder}/{arrays.INDEX}": sha256 for folder, sha256 in states.kept(report).items()
        }
        names = [*digests, *_arrays(report, digests), *_kept(report, given)]
        unfit = list(bundle.name_problems(names))
    except (AttributeError, KeyError, TypeError) as error:
        raise errors.SamebitsError(
            f"{path}: expected a certificate, got something else ({error!r}); issue it again"
        ) from error
    bundle.refuse(f"{path}: expected names of files in it, got", unfit)
    return digests, names


def _files(certificate: Path, given: _Given) -> dict[str, Path]:
    """All files of the bundle by name."""
    digests, names = _listed(certificate, given)
    bundle.refuse(
        f"expected the files that {certificate} was issued on; issue it again. Got",
        _problems(given, names, digests),
    )
    found = {name: given.path(name) for name in names}
    return {name: path for name, path in found.items() if path} | {"certificate.json": certificate}


def main() -> int:
    """Find what the certificate lists, check it and write the bundle."""
    options = _arguments()
    bundle.write(options.output, _files(options.certificate, _Given(options)))
    return 0


if __name__ == "__main__":
    errors.run(main)
