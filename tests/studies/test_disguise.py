"""A process passes for another CPU: what `cpuid` answers is what QEMU's answers, in threads too."""

import subprocess
import sys
from pathlib import Path

import pytest

from atlas import disguise
from pipeline import ROOT, SCRIPTS
from samebits.errors import SamebitsError

ASK = """
import sys, threading
from samebits.observation import machine
if sys.argv[1:]:
    from atlas import disguise
    disguise.disguise(sys.argv[1])
said = []
asker = threading.Thread(target=lambda: said.append([
    machine.describe_cpu(), *(machine.cpuid(4, n) for n in range(5)), machine.cpuid(7, 10**6),
]))
asker.start()
asker.join()
print(said)
"""


def asked(*words: str) -> str:
    environ = {"PYTHONPATH": f"{SCRIPTS}:{ROOT / 'studies'}", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(words, env=environ, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


@pytest.mark.skipif(
    "cpuid_fault" not in Path("/proc/cpuinfo").read_text(), reason="this CPU cannot trap cpuid"
)
@pytest.mark.parametrize("model", ["Haswell", "EPYC"])
def test_cpuid_answers_as_under_qemu(model: str) -> None:
    python = (sys.executable, "-c", ASK)
    emulated = asked("/usr/bin/qemu-x86_64", "-cpu", model, *python)
    assert asked(*python, model) == emulated
    assert asked(*python) != emulated


def test_without_qemu_the_reason_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SamebitsError, match="install qemu-user"):
        disguise.disguise("Haswell")
