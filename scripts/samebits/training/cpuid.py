"""What the CPU says about itself to this very process.

``/proc/cpuinfo`` is the host's, also for a process that an emulator runs; the instruction
``cpuid`` answers as the CPU that the process computes on. Runs on Python 3.7 to 3.13.
"""

from __future__ import annotations

import ctypes
import hashlib
import mmap
import platform
import struct
from typing import Callable, Tuple

from samebits.training import machine

_Registers = Tuple[int, int, int, int]  # eax, ebx, ecx, edx
# void f(uint32_t leaf, uint32_t subleaf, uint32_t registers[4]), System V ABI
_CODE = bytes.fromhex(
    "53"  # push rbx
    "89f8"  # mov eax, edi
    "89f1"  # mov ecx, esi
    "4989d0"  # mov r8, rdx
    "0fa2"  # cpuid
    "418900"  # mov [r8], eax
    "41895804"  # mov [r8+4], ebx
    "41894808"  # mov [r8+8], ecx
    "4189500c"  # mov [r8+12], edx
    "5b"  # pop rbx
    "c3"  # ret
)
_BRAND = (0x80000002, 0x80000003, 0x80000004)
_EMULATED_ENDS = ", emulated)"  # a description
_EMULATOR = b"TCGTCGTCGTCG"  # QEMU without a hypervisor, in the leaf of hypervisors


def describe() -> str:
    """Model, a digest of the features, and whether it is emulated.

    Where ``cpuid`` cannot be asked: the model that the system reports, which an emulated process
    cannot tell from the host's.
    """
    if platform.machine() != "x86_64":
        return str(machine.record()["cpu"])
    try:
        memory = mmap.mmap(-1, len(_CODE), prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    except OSError:  # a hardened kernel lets no process write code
        return str(machine.record()["cpu"])
    memory.write(_CODE)
    return _describe(lambda leaf: _ask(memory, leaf))


def is_emulated(description: str) -> bool:
    """Whether a CPU that described itself so is QEMU's."""
    return description.endswith(_EMULATED_ENDS)


def _ask(memory: mmap.mmap, leaf: int) -> _Registers:
    function = ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p)
    answer = (ctypes.c_uint32 * 4)()
    function(ctypes.addressof(ctypes.c_char.from_buffer(memory)))(leaf, 0, answer)
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
