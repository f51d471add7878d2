"""Environment variables that change what Python or TensorFlow compute.

What a user's shell has of these must not reach a run: the launcher drops them and the training
refuses to run when one is set that the experiment does not name. Beside them, how the jobs that
sign learn with which key.
"""

from __future__ import annotations

from typing import Mapping

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


def affects_results(name: str) -> bool:
    """Whether a variable could change results and therefore has to be named to be set."""
    return name.startswith(_PREFIXES) and name not in _ALLOWED


def present(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of this kind in an environment."""
    return {name: environment[name] for name in sorted(environment) if affects_results(name)}
