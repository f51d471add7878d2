"""The machine that a run sees: CPU, memory, system, GPU. Runs on Python 3.7 to 3.13.

``/proc/cpuinfo`` describes the host's CPU, also to a process that an emulator runs; the instruction
``cpuid`` answers as the CPU that the process computes on.
"""

from __future__ import annotations

import ctypes
import hashlib
import mmap
import os
import platform
import re
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any, Callable, Tuple

from samebits.errors import SamebitsError

_Registers = Tuple[int, int, int, int]  # eax, ebx, ecx, edx
# void f(uint32_t leaf, uint32_t subleaf, uint32_t registers[4]), System V ABI
_CODE = bytes.fromhex(
    "53 89f8 89f1 4989d0"  # push rbx; mov eax, edi; mov ecx, esi; mov r8, rdx
    "0fa2"  # cpuid
    "418900 41895804"  # mov [r8], eax; mov [r8+4], ebx
    "41894808 4189500c"  # mov [r8+8], ecx; mov [r8+12], edx
    "5b c3"  # pop rbx; ret
)
_BRAND = (0x80000002, 0x80000003, 0x80000004)
_EMULATED_ENDS = ", emulated)"  # a description
_EMULATOR = b"TCGTCGTCGTCG"  # QEMU without a hypervisor, in the leaf of hypervisors
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
            f"framework.gpus={wanted}: expected an NVIDIA GPU with its driver, got none "
            f"({_DRIVER} does not exist); use framework=tf2.21, or submit to a machine with a GPU"
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
            f"framework.gpus={wanted}: expected TensorFlow to see that many GPUs, got {seen}; "
            "its reason is in the log; use framework=tf2.21, or check driver and "
            "CUDA_VISIBLE_DEVICES"
        )


# ---- cpuid ------------------------------------------------------------------------------------


def describe_cpu() -> str:
    """Model, a digest of the features, and whether it is emulated.

    Where ``cpuid`` cannot be asked: the model that the system reports, which an emulated process
    cannot tell from the host's.
    """
    if platform.machine() != "x86_64":
        return str(record()["cpu"])
    try:
        return _describe(cpuid)
    except OSError:  # a hardened kernel lets no process write code
        return str(record()["cpu"])


def is_emulated(description: str) -> bool:
    """Whether a CPU that described itself so is QEMU's."""
    return description.endswith(_EMULATED_ENDS)


def cpuid(leaf: int, subleaf: int = 0) -> _Registers:
    """What the instruction answers. Raises OSError where a process may not write code."""
    memory = mmap.mmap(-1, len(_CODE), prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(_CODE)
    function = ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p)
    answer = (ctypes.c_uint32 * 4)()
    function(ctypes.addressof(ctypes.c_char.from_buffer(memory)))(leaf, subleaf, answer)
    return answer[0], answer[1], answer[2], answer[3]


def _describe(ask: Callable[[int], _Registers]) -> str:
    most = ask(0x80000000)[0]
    brand = b"".join(struct.pack("<4I", *ask(leaf)) for leaf in _BRAND if leaf <= most)
    model = brand.partition(b"\0")[0].decode("ascii", "replace").strip() or "unknown"
    emulated = struct.pack("<3I", *ask(0x40000000)[1:]) == _EMULATOR
    features = hashlib.sha256(repr(_features(ask)).encode()).hexdigest()[:8]
    return "{} (features {}{})".format(model, features, ", emulated" if emulated else "")


def _features(ask: Callable[[int], _Registers]) -> tuple[_Registers, ...]:
    """The leaves with feature bits; ebx of the first says on which CPU the question ran."""
    family, _, c, d = ask(1)
    return (family, 0, c, d), ask(7), ask(0x80000001)
