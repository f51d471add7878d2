"""How the jobs that sign are told with which key. Runs on Python 3.7 to 3.13."""

from __future__ import annotations

PREFIX = "SAMEBITS_SIGNING_"
LOCATION = PREFIX + "KEY"  # a PEM private key, or the path of one
PASSPHRASE = PREFIX + "PASSPHRASE"
NONE = "none"  # as LOCATION: do not sign
