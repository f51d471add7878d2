"""How the jobs that sign are told with which key. Runs on Python 3.7 to 3.13."""

PREFIX = "SAMEBITS_SIGNING_"
LOCATION = PREFIX + "KEY"  # a PEM private key, or the path of one
PASSPHRASE = PREFIX + "PASSPHRASE"
NONE = "none"  # as LOCATION: do not sign
