"""A process to which ``cpuid`` answers as another CPU model, at native speed.

Libraries choose kernels, and the blocks that products are cut into, by what ``cpuid`` tells of
instruction sets and caches. Where the CPU can trap that instruction, the kernel hands it to the
process as a segmentation fault; the handler here answers from a table, which QEMU's CPU of that
model gave. All else is computed natively, approximate instructions too: what depends on those alone
is seen under the emulator only. x86-64 Linux.
"""

import ctypes
import json
import mmap
import shutil
import signal
import struct
import subprocess
import sys

from samebits.errors import SamebitsError

_ARCH_PRCTL, _ARCH_SET_CPUID = 158, 0x1012
_SA_SIGINFO, _SA_NODEFER = 4, 0x40000000
_END = 0xFFFFFFFF  # the leaf of the last row, which answers zeros
# void handler(int signal, siginfo_t *, ucontext_t *), System V ABI. A row of the table: leaf,
# subleaf, eax, ebx, ecx, edx. Registers in the context: ebx 0x80, edx 0x88, eax 0x90, ecx 0x98,
# instruction pointer 0xa8.
_BEFORE = bytes.fromhex(
    "488b82a8000000 6681380fa2 7565"  # if it was not cpuid: fault
    "488382a800000002"  # go on after it
    "48be"  # mov rsi, table
)
_AFTER = bytes.fromhex(
    "8b8290000000 8b8a98000000"  # mov eax, leaf; mov ecx, subleaf
    "83f90f 7605 b90f000000"  # at most 15: where a leaf has no subleaves it may be any number
    "3906 7505 394e04 740b 833eff 7406 4883c618 ebec"  # the row of both, or the last
    "8b4608 48898290000000 8b460c 48898280000000"
    "8b4610 48898298000000 8b4614 48898288000000"
    "c3"
    "0f0b"  # fault: end by an undefined instruction
)
_ASK = """
import json
from samebits.observation import machine
leaves = [*range(0x20), 0x40000000, *range(0x80000000, 0x80000020)]
print(json.dumps([[n, s, *machine.cpuid(n, s)] for n in leaves for s in range(16)]))
"""
_KEPT: list[object] = []  # what the handler reads must not be freed


class _Action(ctypes.Structure):
    """struct sigaction of the C library."""

    _fields_ = (
        ("handler", ctypes.c_void_p),
        ("mask", ctypes.c_ubyte * 128),
        ("flags", ctypes.c_int),
        ("restorer", ctypes.c_void_p),
    )


def disguise(model: str) -> None:
    """From now on, in this process and its children, be a CPU of a model that QEMU knows.

    Raises SamebitsError where the CPU cannot trap ``cpuid``, or without QEMU.
    """
    qemu = shutil.which("qemu-x86_64")
    if qemu is None:
        raise SamebitsError("expected qemu-x86_64, got none; install qemu-user")
    asked = [qemu, "-cpu", model, sys.executable, "-c", _ASK]
    said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    rows = [*json.loads(said), [_END, 0, 0, 0, 0, 0]]
    table = ctypes.create_string_buffer(b"".join(struct.pack("<6I", *row) for row in rows))
    code = _BEFORE + struct.pack("<Q", ctypes.addressof(table)) + _AFTER
    memory = mmap.mmap(-1, len(code), prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(code)
    _KEPT.extend([table, memory])
    library = ctypes.CDLL(None, use_errno=True)
    action = _Action(flags=_SA_SIGINFO | _SA_NODEFER)
    action.handler = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    library.sigaction(signal.SIGSEGV, ctypes.byref(action), None)
    if library.syscall(_ARCH_PRCTL, _ARCH_SET_CPUID, 0):
        raise SamebitsError(
            f"this CPU, or its hypervisor, cannot trap cpuid, so it cannot pass for a {model}; "
            "emulate it"
        )
