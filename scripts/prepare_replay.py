#!/usr/bin/env python3
"""Decide whether a certificate can be replayed here, before anything is trained.

INPUTS      --certificate  certificate.json, or the bundle that contains it
            --digest       the SHA-256 of the certificate.json that the experiment was composed from
            --epochs       how many epochs to sample; without it all are trained
            --checkpoints  the folder of the certified states, when they are neither in the bundle
                           nor beside the certificate
OUTPUTS     --output       the replay plan: the certificate's digest, why this machine is outside of
                           its scope, and the sampled epochs
            --states       with --epochs: the states from which these epochs begin
GUARANTEES  a certificate that does not verify, or has nothing to compare with, is an error with
            every reason; nothing in it is executed; a machine outside of its scope gets a message
            and is not refused; epochs are drawn here, once, from random bytes, after the
            certificate exists; each copied state has the digest to which the certificate commits
"""

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from samebits import errors
from samebits.arguments import parser
from samebits.certificate import replays, statements
from samebits.certificate.types import Certificate
from samebits.errors import SamebitsError
from samebits.formats import canonical, files, states
from samebits.observation import machine
from samebits.replay import states as checkpoints
from samebits.text import say
from samebits.verification import opened

FORMAT = "samebits-replay-plan-1"


def _arguments() -> argparse.Namespace:
    made = parser(__doc__, "certificate", "output", optional=("checkpoints", "states"))
    made.add_argument("--digest", required=True)
    made.add_argument("--epochs", type=int)
    options = made.parse_args()
    if (options.epochs is None) != (options.states is None):
        made.error("expected --epochs and --states together")
    return options


def _draw(content: Certificate, count: int) -> dict[str, Any]:
    """Epochs sampled at random, and the digest of the state from which each begins."""
    report, of, draw = content["report"], statements.of(content), replays.new_draw()
    wrong, epochs_in_all = replays.count_problem(report, count), len(states.of_control(report))
    if wrong is not None:
        raise SamebitsError(wrong)
    drawn = replays.drawn(of, draw, epochs_in_all, count)
    epochs = [{"epoch": number, "from": replays.before(report, number)} for number in drawn]
    say(f"sampled: epochs {', '.join(map(str, drawn))} of {epochs_in_all}")
    return {"certificate": of, "draw": draw, "epochs": epochs}


def _copy_states(drawn: Mapping[str, Any], found: checkpoints.Checkpoints, target: Path) -> None:
    """Copy the states from which the epochs begin, each with the certified digest."""
    with files.atomic_folder(target) as folder:
        for epoch in drawn["epochs"]:
            if epoch["from"] is not None:
                before = epoch["epoch"] - 1
                found.copy(before, epoch["from"], folder / states.name(before))


def main() -> int:
    """Verify, compare this machine with the scope, write the plan."""
    options = _arguments()
    with opened.opened(options.certificate) as found:
        opened.require_digest(found, options.digest)
        content = opened.require_replayable(found.content, os.environ)
        drawn = None if options.epochs is None else _draw(content, options.epochs)
        outside = sorted(replays.outside(content["report"], machine.record()))
    for reason in outside:
        say(f"outside of the certificate's scope: {reason}")
    plan = {
        "format": FORMAT,
        "certificate": options.digest,
        "statement": statements.of(content),
        "outside_scope": outside,
    }
    if drawn is not None:
        plan["sampled"] = drawn
        with checkpoints.opened(options.certificate, options.checkpoints) as found:
            _copy_states(drawn, found, options.states)
    canonical.write_json(options.output, plan)
    return 0


if __name__ == "__main__":
    errors.run(main)
