#!/usr/bin/env python3
"""Check a certificate, level by level.

INPUTS      CERTIFICATE  certificate.json, or the bundle that holds it and its evidence
            --key        a public key (PEM) to trust, instead of those in the trust file; repeatable
            --artifacts  the folder that the certificate is about, such as results/default
            --data       the folder of the data set's arrays, such as data/mnist-…/arrays
            --trust      the trust file; default: trusted_keys in your config folder
OUTPUTS     what was checked, in words or (--json) as JSON
GUARANTEES  nothing in the certificate is executed, no network is opened, nothing is written; needs
            neither Snakemake nor TensorFlow; digests are taken again over the arrays

Exit codes: 0 verified, 1 does not hold, 2 malformed or wrong usage, 3 valid but by no trusted key.
0 says that the certificate holds, whatever its verdict: a NOT REPRODUCIBLE that holds is verified.
"""

import argparse
import io
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from samebits import errors
from samebits.certificate.types import Certificate
from samebits.errors import SamebitsError, explain_os_error
from samebits.signing import keys
from samebits.signing import trusted as trust
from samebits.text import bold, plain
from samebits.verification import artifacts, levels, opened
from samebits.verification.artifacts import ArtifactCheck
from samebits.verification.levels import (
    DOES_NOT_HOLD,
    MALFORMED,
    NOT_TRUSTED,
    VERIFIED,
    Verification,
)

_RESULTS = {
    VERIFIED: ("VERIFIED", "green"),
    DOES_NOT_HOLD: ("DOES NOT HOLD", "red"),
    NOT_TRUSTED: ("VALID, BY NO KEY THAT YOU TRUST", "yellow"),
}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Check a certificate.",
        epilog="Exit codes: 0 verified, 1 does not hold, 2 malformed or wrong usage, 3 valid but "
        "by no trusted key.",
    )
    parser.add_argument("certificate", type=Path, metavar="CERTIFICATE")
    parser.add_argument("--key", type=Path, action="append", metavar="PUB", help="trust this alone")
    parser.add_argument("--artifacts", type=Path, metavar="DIR")
    parser.add_argument("--data", type=Path, metavar="DIR")
    parser.add_argument("--trust", type=Path, metavar="FILE")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _trusted(options: argparse.Namespace) -> list[trust.Trusted]:
    if options.key:
        return [trust.Trusted(path.name, keys.of_pem(path)) for path in options.key]
    if options.trust and not options.trust.exists():
        raise SamebitsError(f"{options.trust}: expected a trust file, got none; check the path")
    return trust.read(options.trust or keys.folder(os.environ) / trust.FILE)


def _verify(options: argparse.Namespace) -> tuple[Certificate, Verification]:
    trusted = _trusted(options)
    with opened.opened(options.certificate) as given:
        report, found = given.content["report"], []
        if given.bundled is not None:
            found.append(artifacts.check(report, given.bundled, whole=True))
        found += _found(report, options)
    return given.content, levels.verify(given.content, trusted, _joined(found))


def _found(report: Any, options: argparse.Namespace) -> Iterator[ArtifactCheck]:
    if options.artifacts:
        with artifacts.opened(options.artifacts) as files:
            yield artifacts.check(report, files, whole=False)
    if options.data:
        with artifacts.opened(options.data) as files:
            yield artifacts.check_data(report, files)


def _joined(found: list[ArtifactCheck]) -> ArtifactCheck | None:
    if not found:
        return None
    problems = tuple(problem for one in found for problem in one.problems)
    return ArtifactCheck("; ".join(one.said for one in found if one.said), problems)


def _as_json(made: Verification) -> dict[str, Any]:
    shown = asdict(made) | {"result": _RESULTS[made.code][0]}
    for check in shown["checks"]:
        check["holds"] = not check["problems"]
    return shown


def _lines(content: Certificate, made: Verification, colour: bool) -> Iterator[str]:
    result, hue = _RESULTS[made.code]
    name = plain(content["report"]["experiment"]["name"])
    yield f"{bold(result, hue, colour)}  {made.verdict}  {name}"
    for check in made.checks:
        mark = "does not hold" if check.problems else "ok"
        yield f"  {check.level:<10} {mark if check.problems else mark + ': ' + plain(check.said)}"
        yield from (f"    - {plain(problem)}" for problem in check.problems)
    for number, link in enumerate(made.signatories):
        what = "certified" if number == 0 else "replayed"
        who = link.holder or ("nobody who signed" if link.keyid is None else link.keyid)
        where = f" on {link.machine}" if link.machine else ""
        yield f"  {what:<10} {link.issued} by {plain(who)}{plain(where)}: {link.said}"
        yield from (f"    outside of its scope: {plain(why)}" for why in link.outside_scope)
    yield from _advice(content, made)


def _advice(content: Certificate, made: Verification) -> Iterator[str]:
    if not any(check.level == "artifacts" for check in made.checks):
        yield "  Files were not looked at: name their folder with --artifacts, or give the bundle."
    first = made.signatories[0]
    if made.code == NOT_TRUSTED and first.keyid is not None:
        yield "  When you know whose key it is, add this line to your trust file:"
        yield f"    NAME {trust.KIND} {content['keys'][first.keyid]}"


def main() -> int:
    """Verify and tell."""
    options = _arguments()
    try:
        content, made = _verify(options)
    except SamebitsError as error:
        print(f"malformed: {plain_lines(str(error))}", file=sys.stderr)
        return MALFORMED
    except OSError as error:
        print(f"error: {explain_os_error(error)}", file=sys.stderr)
        return MALFORMED
    if options.json:
        print(json.dumps(_as_json(made), indent=2))
    else:
        print("\n".join(_lines(content, made, sys.stdout.isatty())))
    return made.code


def plain_lines(text: str) -> str:
    """Several lines of text, each without what steers a terminal."""
    return "\n".join(map(plain, text.splitlines()))


def _show_anything() -> None:
    """Show what the terminal's encoding lacks as an escape: a name is no reason to fail."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    _show_anything()
    errors.run(main)
