#!/usr/bin/env python3
"""Compare training runs with their control, bit for bit.

INPUTS      --control  folder of the run that the replicas are compared with
            --replica  folder of another run of the same experiment; once per run
            --atlas    atlas.json: which kernels depend on the CPU; not needed
OUTPUTS     --output   comparison.json
GUARANTEES  measures and does not judge: exit 0 with "identical": false when runs differ;
            "identical" is true only when history, weights, optimizer and other state, predictions
            and trace of every run are there and equal in every bit, dtype, shape, name and order (a
            NaN equals the same NaN only, 0.0 is not -0.0); of a run that differs, the first step
            and the tensors that do, and of one on another CPU the layers with a kernel that the
            atlas lists; bits planted in a copy of the control's data tell whether the comparison
            sees them; digests are taken again from the stored elements; a damaged artifact, runs of
            different experiments or parts of one, or the same run twice are errors and leave no
            output; memory stays bounded whatever the size of the weights
"""

from samebits import errors
from samebits.arguments import parser
from samebits.comparison import attribution
from samebits.comparison.runs import compare
from samebits.formats import canonical


def main() -> int:
    """Compare and write the comparison."""
    flags = parser(__doc__, "control", "output", several=["replica"], optional=["atlas"])
    args = flags.parse_args()
    atlas = attribution.read_atlas(args.atlas) if args.atlas else None
    comparison = compare(args.control, args.replica, atlas)
    canonical.write_json(args.output, canonical.with_digest(comparison))
    print("identical" if comparison["identical"] else "not identical")
    return 0


if __name__ == "__main__":
    errors.run(main)
