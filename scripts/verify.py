#!/usr/bin/env python3
"""Check a certificate, level by level.

INPUTS      CERTIFICATE  certificate.json, or the bundle that holds it and its evidence
            --key        a public key (PEM) to trust, instead of those in the trust file; repeatable
            --artifacts  the folder that the certificate is about, such as results/default
            --data       the folder of the data set's arrays, such as data/mnist-KEY/arrays
            --trust      the trust file; default: trusted_keys in your config folder
            --expect     verdicts with commas between, such as reproducible; another one ends with 4
            --json       print the result as JSON
            --offline    where the environment that checks is not built, do not build it
OUTPUTS     the result of each check, as text or as JSON
GUARANTEES  executes nothing from the certificate; the check opens no network connection and writes
            nothing; any Python from 3.6 on starts it, and it goes on in an environment of its own,
            which Python 3.9 or newer builds on first use; needs no Snakemake, TensorFlow or
            template engine; computes every digest again

Exit codes: 0 verified, 1 does not hold, 2 malformed, wrong usage or no environment to check in,
3 valid but not signed by a trusted key, 4 verified, but another verdict than --expect says. Without
--expect 0 means that the certificate holds, whatever its verdict: a valid NOT REPRODUCIBLE is
verified.
"""

if __name__ == "__main__":
    import sys

    sys.dont_write_bytecode = True
    from samebits import own_environment

    own_environment.enter(__doc__)

import json
import os
import shlex
import sys
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from samebits import errors
from samebits.arguments import parser
from samebits.certificate import signatories
from samebits.certificate.types import Certificate
from samebits.errors import OTHER, SamebitsError
from samebits.formats import names
from samebits.formats.names import UNSIGNED, UNSUPPORTED
from samebits.pages import remedies as advice
from samebits.signing import keys
from samebits.signing import trusted as trust
from samebits.text import bold, plain, program
from samebits.verification import artifacts, levels, opened
from samebits.verification.artifacts import ArtifactCheck
from samebits.verification.levels import DOES_NOT_HOLD, MALFORMED, NOT_TRUSTED, Verification
from samebits.verification.opened import OpenedCertificate

_RESULTS = {
    levels.VERIFIED: ("VERIFIED", "green"),
    DOES_NOT_HOLD: ("DOES NOT HOLD", "red"),
    NOT_TRUSTED: ("VALID, BUT NOT SIGNED BY A KEY YOU TRUST", "yellow"),
}


def _arguments() -> Namespace:
    made = parser(__doc__, optional=("artifacts", "data", "trust"))
    made.add_argument("certificate", type=Path, metavar="CERTIFICATE")
    made.add_argument("--key", type=Path, action="append", help="trust only this key")
    made.add_argument("--expect", metavar="VERDICT", default="")
    for flag in ("--json", "--offline"):  # the latter: see own_environment
        made.add_argument(flag, action="store_true")
    return made.parse_args()


def _trusted(options: Namespace) -> list[trust.Trusted]:
    if options.key:
        return [trust.Trusted(p.name, key) for p in options.key for key in keys.from_pem(p)]
    if options.trust and not options.trust.exists():
        raise SamebitsError(f"{options.trust}: no such trust file; check the path")
    return trust.read(_trust_file(options))


def _trust_file(options: Namespace) -> Path:
    return options.trust or keys.folder(os.environ) / trust.FILE


def _verify(options: Namespace) -> tuple[Certificate, Verification]:
    trusted = _trusted(options)
    with opened.opened(options.certificate) as given:
        checks = list(_artifact_checks(given, options))
    return given.content, levels.verify(given.content, trusted, checks)


def _artifact_checks(given: OpenedCertificate, options: Namespace) -> Iterator[ArtifactCheck]:
    report = given.content["report"]
    if given.bundled is not None:
        yield artifacts.check(report, given.bundled, whole=True)
    if options.artifacts:
        with artifacts.opened(options.artifacts) as files:
            yield artifacts.check(report, files, whole=False)
    if options.data:
        with artifacts.opened(options.data) as files:
            yield artifacts.check_data(report, files)


def _result(made: Verification) -> tuple[str, str]:
    """The headline and its color."""
    if made.code == NOT_TRUSTED and made.signatories[0].keyid is None:
        return UNSIGNED, "yellow"
    return _RESULTS[made.code]


def _as_json(made: Verification) -> dict[str, Any]:
    shown = asdict(made) | {"result": _result(made)[0]}
    for check in shown["checks"]:
        check["holds"] = not check["problems"]
    return shown


def _lines(content: Certificate, made: Verification, color: bool) -> Iterator[str]:
    result, style = _result(made)
    name = plain(content["report"]["experiment"]["name"])
    yield f"{bold(result, style, color)}  {made.verdict}  {name}"
    for check in made.checks:
        ok = "" if check.level == "signature" and made.signatories[0].keyid is None else "ok: "
        status = "does not hold" if check.problems else ok + check.summary
        yield f"  {check.level:<10} {plain(status)}"
        yield from (f"    - {plain(problem)}" for problem in check.problems)
    for number, signatory in enumerate(made.signatories):
        what = "replayed" if number else "certified"
        key = signatory.holder or signatory.keyid
        who = f"by {plain(key)}" if key else UNSIGNED
        where = f" on {plain(signatory.machine)}" if signatory.machine else ""
        yield f"  {what:<10} {signatory.issued} {who}{where}: {plain(signatory.result)}"
        yield from (f"    outside its scope: {plain(why)}" for why in signatory.outside_scope)
    if made.code != DOES_NOT_HOLD and made.verdict == UNSUPPORTED:
        yield from (f"  refused    {plain(reason)}" for reason in content["report"]["reasons"])
        remedies = advice.remedies(content["report"])
        yield from (f"  remedy     {plain(culprit)}: {plain(what)}" for culprit, what in remedies)


def _advice(content: Certificate, made: Verification, options: Namespace) -> Iterator[str]:
    if not any(check.level == "artifacts" for check in made.checks):
        yield "  Files were not checked: pass their folder with --artifacts, or verify the bundle."
    if made.code != NOT_TRUSTED:
        return
    if made.signatories[0].keyid is None:
        if not [*signatories.unfit(content["report"])]:
            yield "  Nobody vouches for it. To be sure, repeat the training:"
            yield f"    {program()} {plain(shlex.join(['replay', str(options.certificate)]))}"
        return
    if options.key:
        yield "  The signer's key is not in the files that you named with --key."
        return
    words = ["trust", str(options.certificate), "NAME"]
    words += ["--trust", str(options.trust)] if options.trust else []
    yield "  Ask the signer for the id of their key, then trust it, under a NAME of your choice:"
    yield f"    {program()} {plain(shlex.join(words))}"
    yield f"  It asks for that id, and adds the key to {plain(str(_trust_file(options)))}"


def main() -> int:
    """Verify, print the result."""
    options = _arguments()
    expected = names.expected_verdicts(options.expect)
    content, made = _verify(options)
    if options.json:
        print(json.dumps(_as_json(made), indent=2))
    else:
        lines = [*_lines(content, made, sys.stdout.isatty()), *_advice(content, made, options)]
        print("\n".join(lines))
    if made.code == levels.VERIFIED and expected and made.verdict not in expected:
        print(f"expected {' or '.join(expected)}, got {made.verdict}", file=sys.stderr)
        return OTHER
    return made.code


if __name__ == "__main__":
    errors.run(main, MALFORMED)
