"""The processor as far as code that is moved to another machine must know it."""

from __future__ import annotations

import functools
import pathlib
import platform
import re

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
