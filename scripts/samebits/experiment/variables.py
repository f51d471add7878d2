"""Environment variables: what reaches a run, what changes what it computes, who signs.

A run gets the system's variables, those that the experiment declares, and two folders of its own.
The training refuses to run when a variable is set that changes what Python or TensorFlow compute
and that the experiment does not name.
"""

from __future__ import annotations

from typing import AbstractSet, Any, Iterator, Mapping

SIGNING_PREFIX = "SAMEBITS_SIGNING_"
SIGNING_KEY = SIGNING_PREFIX + "KEY"  # a PEM private key, or the path of one
SIGNING_PASSPHRASE = SIGNING_PREFIX + "PASSPHRASE"
NO_KEY = "none"  # as SIGNING_KEY: do not sign

_PREFIXES = (
    "PYTHON",  # PYTHONHASHSEED, PYTHONPATH, PYTHONOPTIMIZE, …
    "TF_", "XLA_", "KERAS_",
    "ONEDNN_", "DNNL_",  # the latter: oneDNN's older prefix
    "MKL_", "KMP_", "OMP_", "GOMP_", "OPENBLAS_",  # KMP_: Intel's OpenMP
    "NPY_",  # NumPy's CPU dispatch
    "CUDA_", "CUDNN_", "CUBLAS_", "NVIDIA_",
    "LD_PRELOAD",
    "GLIBC_TUNABLES",  # which variants of its mathematical functions the C library takes
)  # fmt: skip
# Not an input of the computation: which GPUs the scheduler gave to the job.
_ALLOWED = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES")
# Who the user is, where, with which terminal, locale, network and job.
_OF_SYSTEM = (
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "PWD", "TERM", "TZ", "LANG", "LANGUAGE", "TMPDIR",
    "LD_LIBRARY_PATH",  # without it the Python of a module system does not start
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
    "CONDA_PREFIX", "SLURM_JOB_ID", "SLURMD_NODENAME",
    "SAMEBITS_CONFIG_FILES",  # which of the changed files in the repository the experiment names
    *_ALLOWED,
)  # fmt: skip
ISOLATION = "SAMEBITS_ISOLATION"  # tells a program's run what it was kept from, and what not
KERAS_HOME, TEMPORARY = "KERAS_HOME", "TMPDIR"  # folders that each run has of its own
FETCH = "SAMEBITS_FETCH"  # a descriptor of the launcher's desk, which answers a program's downloads
_TERMINAL = ("COLUMNS", "LINES")  # its size: no run has a terminal, and argparse asks for them
_HASH_SEED = "PYTHONHASHSEED"
_RESERVED = ("SAMEBITS_", "LD_")  # beginnings of names that no experiment may declare


def affects_results(name: str) -> bool:
    """Whether a variable could change results and therefore has to be named to be set."""
    return name.startswith(_PREFIXES) and name not in _ALLOWED


def is_of_system(name: str) -> bool:
    """Whether a run gets a variable from the shell, although the experiment does not declare it."""
    return name in _OF_SYSTEM or name.startswith("LC_") or name.lower().endswith("_proxy")


def is_undeclared(name: str, config: Mapping[str, Any], varied: AbstractSet[str]) -> bool:
    """Whether neither the system, the experiment, a variation nor the launcher sets a variable."""
    named = {*config["environment"], *config["determinism"]["environment"], *varied}
    own = name in ("*", _HASH_SEED, KERAS_HOME, *_TERMINAL) or name.startswith("SAMEBITS_")
    return not (own or name in named or is_of_system(name))


def undeclarable(names: Mapping[str, str]) -> Iterator[str]:
    """Why an experiment cannot declare a variable under ``environment``, a sentence for each."""
    for name in names:
        if affects_results(name):
            yield f"environment.{name}: changes what is computed; set determinism.environment"
        elif is_of_system(name) or name.startswith(_RESERVED):
            yield f"environment.{name}: belongs to the system; give your variable another name"


def present(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of this kind in an environment."""
    return {name: environment[name] for name in sorted(environment) if affects_results(name)}
