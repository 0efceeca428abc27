"""The processor as far as code that is moved to another machine must know it."""

from __future__ import annotations

import ctypes
import functools
import os
import pathlib
import platform
import re

from ..errors import RuntimeLibraryError

#: Linux on x86-64: the system call ``arch_prctl``, its request for a feature of the processor state,
#: and the number of the feature that holds the AMX tiles (Documentation/arch/x86/xstate.rst).
_ARCH_PRCTL, _ARCH_REQ_XCOMP_PERM, _XTILEDATA = 158, 0x1023, 18

#: Flags of ``/proc/cpuinfo`` that say which instructions a compiler may use; the rest is for operating systems.
_INSTRUCTIONS = re.compile(
    r"(sse|ssse|avx|amx|bmi|vpclmul|sha|gfni|movdir)\w*|pni|fma4?|f16c|abm|adx|v?aes|pclmulqdq|movbe|popcnt|cx16"
    r"|rdrand|rdseed|xsave\w*|fsgsbase|clflushopt|clwb|cldemote|lahf_lm|prefetchw|3dnowprefetch|rdpid|serialize|tbm|xop"
)


@functools.cache
def cpu_features() -> frozenset[str]:
    """Instruction set extensions of this processor, by the names Linux gives them.

    Example:
        >>> "hypervisor" in cpu_features()
        False
    """
    flags = _cpuinfo().get("flags", "").split()
    return frozenset(flag for flag in flags if _INSTRUCTIONS.fullmatch(flag))


def cpu_name() -> str:
    """What the processor is called; its architecture when it does not say."""
    return _cpuinfo().get("model name") or platform.machine()


@functools.cache
def _cpuinfo() -> dict[str, str]:
    """The first processor of ``/proc/cpuinfo``; empty where there is none."""
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text()
    except OSError:
        return {}
    lines = (line.partition(":") for line in text.split("\n\n", 1)[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}


def cpu_class() -> str:
    """What processors must agree on for times measured on one to hold on the other."""
    info = _cpuinfo()
    return f"{cpu_name()} (family {info.get('cpu family', '?')}, model {info.get('model', '?')})"


def unlikeness(measured: str, wanted: str) -> int:
    """How far two processors of :func:`cpu_class` are apart: 0 the same, 1 of one microarchitecture, 2 others.

    Hypervisors hide names, and one microarchitecture is sold under many.

    Example:
        >>> unlikeness("INTEL(R) XEON(R) 8592+ (family 6, model 207)", "Intel(R) Xeon(R) (family 6, model 207)")
        1
    """
    if measured == wanted:
        return 0
    kinds = [(name[:1].upper(), model) for name, _, model in (cpu.partition(" (family ") for cpu in (measured, wanted))]
    return 1 if kinds[0] == kinds[1] and kinds[0][1] else 2


@functools.cache
def request_tiles() -> None:
    """Ask the operating system, once per process, to let it use AMX tiles: without it they are a fault.

    Errors: :class:`~pith.RuntimeLibraryError` when it refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    request = [ctypes.c_long(x) for x in (_ARCH_PRCTL, _ARCH_REQ_XCOMP_PERM, _XTILEDATA)]
    if libc.syscall(*request) != 0:
        raise RuntimeLibraryError(
            f"the operating system does not grant AMX tiles: {os.strerror(ctypes.get_errno())}",
            where="arch_prctl(ARCH_REQ_XCOMP_PERM)",
            hint="it takes Linux 5.16 and a processor with AMX; set PITH_ISA=avx512-bf16 to do without tiles",
        )
