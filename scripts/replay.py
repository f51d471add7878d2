#!/usr/bin/env python3
"""Compare one more training with a certificate, and sign the outcome.

INPUTS      --certificate  certificate.json, or the bundle that contains it
            --plan         the replay plan, as prepare_replay.py wrote it
            --run          the folder that train.py wrote for this replay: of all epochs, or of the
                           sampled epochs where the plan has some
            the variables SAMEBITS_SIGNING_KEY and SAMEBITS_SIGNING_PASSPHRASE, see keys.py
OUTPUTS     --output       the certificate with one more statement
GUARANTEES  REPRODUCED only when history, weights, optimizer and other state, predictions and trace
            have the certified digests, computed again from the stored files; EPOCHS REPRODUCED only
            when each sampled epoch ends with the certified state and values; a run of another
            experiment, data set, lock or source is an error; nothing is signed that a third party
            could not verify; the first divergence is named when the certified arrays are in the
            bundle or beside the certificate; the output is complete or absent
"""

import os
from argparse import Namespace
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from samebits import errors
from samebits.arguments import parser
from samebits.certificate import certificate, evidence, replays, schema, signatories, statements
from samebits.comparison import runs
from samebits.errors import SamebitsError, all_problems
from samebits.formats import canonical
from samebits.signing import trusted
from samebits.verification import levels, opened
from samebits.verification.opened import OpenedCertificate


def _record(folder: Path, drawn: Mapping[str, Any] | None) -> Any:
    """The run's record, its artifacts digested again. Raises SamebitsError when one is damaged."""
    definition = "trainRecord" if drawn is None else "sampledRecord"
    document = evidence.read_document("record.json", folder / "record.json", definition)
    problem, record = document.problem, document.content
    if problem is None and drawn is not None and record["sampled"]["draw"] != drawn["draw"]:
        problem = f"expected the draw {drawn['draw']}, got {record['sampled']['draw']}"
    if problem is not None:
        raise SamebitsError(f"{folder}: {problem}; delete it to have it made again")
    if drawn is None:
        runs.open_all([runs.read_run(folder)])
    return record


def _divergence(given: OpenedCertificate, options: Namespace, got: Mapping[str, str]) -> Any:
    """The first divergence from the certified run; None when it cannot be determined."""
    report: Any = given.content["report"]  # verified: its control completed
    if got == report["records"]["runs"]["control"]["digests"]:
        return None
    with opened.control_run(given, options.certificate) as control:
        return control and runs.compare(control, [options.run])["runs"][0]["divergence"]


def main() -> int:
    """Read, compare, sign, verify, write."""
    required = ("certificate", "plan", "run", "output")
    options = parser(__doc__, *required).parse_args()
    plan = canonical.read_json(options.plan)
    drawn = plan.get("sampled")
    record = _record(options.run, drawn)
    with opened.opened(options.certificate) as given:
        opened.require_digest(given, plan["certificate"])
        content = opened.require_replayable(given.content, os.environ)
        report, of = content["report"], statements.of(content)
        wrong = list(replays.problems(replays.certified(report), report, of, record))
        if wrong:
            raise SamebitsError(f"{options.run} is no replay\n{all_problems(wrong)}")
        divergence = _divergence(given, options, record["digests"]) if drawn is None else None
    signer = trusted.load_signer(os.environ)
    issue = replays.Issue(
        issued=datetime.now(UTC).strftime(schema.MOMENT),
        issuer={"keyid": signer.keyid if signer else None},
    )
    found = replays.build(report, of, record, divergence, issue)
    issued = certificate.with_replay(content, found, signer)
    levels.require_verifiable(issued)
    canonical.write_json(options.output, issued)
    part = signatories.extent(found)
    print(f"{found['outcome']} ({part})" if part else found["outcome"])
    return 0


if __name__ == "__main__":
    errors.run(main)
