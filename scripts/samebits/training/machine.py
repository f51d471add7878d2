"""The machine that a run sees: CPU, memory, system, GPU. Runs on Python 3.7 to 3.13."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from samebits.errors import SamebitsError

_DRIVER = Path("/proc/driver/nvidia/version")  # there when NVIDIA's kernel module is loaded


def record() -> dict[str, Any]:
    """CPU model and flags, CPUs that this process may use, memory in bytes, OS, C library."""
    cpu = _cpuinfo()
    return {
        "cpu": cpu.get("model name", platform.processor() or "unknown"),
        "flags": sorted(cpu.get("flags", "").split()),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "os": f"{platform.system()} {platform.release()} {_distribution()}".strip(),
        "libc": " ".join(platform.libc_ver()),
        "gpu": None,
    }


def _cpuinfo() -> dict[str, str]:
    """The first processor's entries of /proc/cpuinfo."""
    first = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _distribution() -> str:
    path = Path("/etc/os-release")
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    match = re.search(r'^PRETTY_NAME="?([^"\n]*)', text, re.MULTILINE)
    return match.group(1) if match else ""


def require_gpu(wanted: int) -> None:
    """Raise SamebitsError when the experiment asks for a GPU and the machine has no driver."""
    if wanted and not _DRIVER.is_file():
        raise SamebitsError(
            f"framework.gpus={wanted}: expected an NVIDIA GPU with its driver, got none ({_DRIVER} does not "
            "exist); use framework=tf2.21, or submit to a machine with a GPU"
        )


def gpu(tf: Any) -> dict[str, Any] | None:
    """Name, driver, CUDA and cuDNN of the first GPU that TensorFlow sees; None without one."""
    devices = tf.config.list_physical_devices("GPU")
    if not devices:
        return None
    build = tf.sysconfig.get_build_info()
    details = tf.config.experimental.get_device_details(devices[0])
    return {
        "count": len(devices),
        "name": details.get("device_name"),
        "compute_capability": list(details.get("compute_capability", ())),
        "driver": _driver(),
        "cuda": build.get("cuda_version"),
        "cudnn": build.get("cudnn_version"),
    }


def _driver() -> str | None:
    tool = shutil.which("nvidia-smi")
    if tool:
        query = [tool, "--query-gpu=driver_version", "--format=csv,noheader"]
        answer = subprocess.run(query, stdout=subprocess.PIPE, check=False).stdout.decode()
        return answer.strip().splitlines()[0] if answer.strip() else None
    match = re.search(r"Module\s+([\d.]+)", _DRIVER.read_text()) if _DRIVER.is_file() else None
    return match.group(1) if match else None


def require_visible_gpu(tf: Any, wanted: int) -> None:
    """Raise SamebitsError when TensorFlow does not see as many GPUs as the experiment asks for."""
    seen = len(tf.config.list_physical_devices("GPU"))
    if seen < wanted:
        raise SamebitsError(
            f"framework.gpus={wanted}: expected TensorFlow to see that many GPUs, got {seen}; its reason is "
            "in the log; use framework=tf2.21, or check driver and CUDA_VISIBLE_DEVICES"
        )
