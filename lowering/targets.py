"""Targets: what a program is compiled for, as frozen, hashable, JSON-able data.

>>> parse_target("sm_90").max_shared_bytes
232448
>>> parse_target("sm_9O")  # doctest: +ELLIPSIS
Traceback (most recent call last):
    ...
pith.errors.UnsupportedError: unknown target 'sm_9O'
  hint: did you mean sm_90, sm_89, sm_90a? known: cpu, cpu:ISA, emulate:ISA, ...
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
from collections.abc import Sequence
from typing import Any

from pith.errors import UnsupportedError
from pith.programs.chips import CHIPS, Chip

from .isa import EMULATE, HOST, ISAS, Isa, host_isa, parse_isa

__all__ = ["CHIPS", "ISAS", "Chip", "CpuTarget", "GpuTarget", "Isa", "Target", "host_isa", "parse_isa", "parse_target"]


class _Hashed:
    """JSON and a hash that is the same in every process, for cache keys."""

    def to_dict(self) -> dict[str, Any]:
        """The fields, with the kind of target."""
        return {"kind": type(self).__name__, **dataclasses.asdict(self)}  # type: ignore[call-overload]

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))

    @property
    def digest(self) -> str:
        """The first 16 hex digits of the SHA-256 of :meth:`to_json`."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]


@dataclasses.dataclass(frozen=True)
class CpuTarget(_Hashed):
    """A CPU by its instruction set.

    Attributes:
        isa: name of the instruction set, by default ``host``: the largest that the host has.
            ``emulate:`` before the name makes kernels for it that run anywhere.

    Errors: :class:`pith.UnsupportedError` for an unknown instruction set.

    Example:
        >>> CpuTarget("avx2").to_json(), CpuTarget("avx512").features.vector_bytes
        ('{"isa":"avx2","kind":"CpuTarget"}', 64)
    """

    isa: str = HOST

    def __post_init__(self) -> None:
        parse_isa(self.isa)

    @property
    def name(self) -> str:
        """What :func:`parse_target` turns back into this target."""
        if self.isa == HOST:
            return "cpu"
        return self.isa if self.isa.startswith(EMULATE) else f"cpu:{self.isa}"

    @property
    def features(self) -> Isa:
        """The instruction set."""
        return parse_isa(self.isa)


@dataclasses.dataclass(frozen=True)
class GpuTarget(_Hashed):
    """An NVIDIA GPU.

    Attributes:
        chip: one of :data:`CHIPS`.
        tf32: products of f32 read their inputs as tf32 (10 bits of mantissa), on tensor cores.
        emulated: its kernels run on the CPU, by ``runtime/emulator``.

    Errors: :class:`pith.UnsupportedError` for an unknown chip.

    Example:
        >>> GpuTarget("sm_80") == GpuTarget("sm_80"), GpuTarget("sm_80").digest == GpuTarget("sm_90").digest
        (True, False)
    """

    chip: str
    tf32: bool = False
    emulated: bool = False

    def __post_init__(self) -> None:
        if self.chip not in CHIPS:
            raise _unknown("chip", self.chip, sorted(CHIPS))

    @property
    def name(self) -> str:
        """What :func:`parse_target` turns back into this target."""
        return EMULATE + self.options if self.emulated else self.options

    @property
    def options(self) -> str:
        """The chip and what is asked of kernels for it, e.g. ``sm_90+tf32``: ``target=`` of conversions to gpu."""
        return self.chip + (TF32 if self.tf32 else "")

    @property
    def ptx_version(self) -> int:
        """PTX version as ``major * 10 + minor``."""
        return CHIPS[self.chip].ptx

    @property
    def max_shared_bytes(self) -> int:
        """Largest dynamic shared memory of one block."""
        return CHIPS[self.chip].max_shared_bytes


Target = CpuTarget | GpuTarget

#: Behind a chip: see :class:`GpuTarget`.
TF32 = "+tf32"


def parse_target(text: str) -> Target:
    """``cpu`` (the host), ``cpu:avx2``, ``emulate:amx``, a chip such as ``sm_90``, or ``emulate:sm_90``.

    ``+tf32`` behind a chip: products of f32 may round their inputs to tf32.

    Errors: :class:`pith.UnsupportedError` naming the close matches.

    Example:
        >>> parse_target("emulate:sm_90+tf32")
        GpuTarget(chip='sm_90', tf32=True, emulated=True)
    """
    if text == "cpu":
        return CpuTarget()
    chip = text.removeprefix(EMULATE).removesuffix(TF32)
    if chip in CHIPS:
        return GpuTarget(chip, text.endswith(TF32), text.startswith(EMULATE))
    if text.removeprefix(EMULATE) in ISAS and text.startswith(EMULATE):
        return CpuTarget(text)
    if text.startswith("cpu:"):
        return CpuTarget(text.removeprefix("cpu:"))
    if text in ("gpu", "cuda", "nvidia"):
        raise UnsupportedError(f"unknown target {text!r}", hint=f"name the architecture: {', '.join(sorted(CHIPS))}")
    if text in ISAS:
        raise UnsupportedError(
            f"unknown target {text!r}", hint=f"did you mean cpu:{text}? on any machine: {EMULATE}{text}"
        )
    known = ["cpu", "cpu:ISA", "emulate:ISA", "emulate:CHIP", *sorted(CHIPS)]
    raise _unknown("target", text, known, [EMULATE + name for name in (*ISAS, *CHIPS)])


def _unknown(what: str, text: str, known: list[str], more: Sequence[str] = ()) -> UnsupportedError:
    """``more``: names that are not listed and may have been meant."""
    close = difflib.get_close_matches(text, [*known, *more], n=3, cutoff=0.5)
    hint = f"did you mean {', '.join(close)}? " if close else ""
    return UnsupportedError(f"unknown {what} {text!r}", hint=f"{hint}known: {', '.join(known)}")
