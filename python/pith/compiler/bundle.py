"""Kernels as files: what was compiled for one or several targets, run without MLIR and without torch."""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ArgumentError, FileFormatError, UnsupportedError
from ..files import name_of_file
from . import bundle_cpu, bundle_gpu
from .bundle_sections import Sections
from .container import read_container, write_container
from .gpu import GpuKernel
from .kernel import Kernel

_KINDS: dict[str, Any] = {"cpu": bundle_cpu, "gpu": bundle_gpu}

#: What a malformed manifest makes the readers raise.
_MALFORMED = (KeyError, IndexError, TypeError, AttributeError, ValueError, zlib.error)


def save(kernels: Sequence[Any], path: str | os.PathLike[str]) -> None:
    """Write kernels of one program for several targets to one file; :func:`pith.load` takes the best one.

    Args:
        kernels: what :func:`pith.compile` returned for each target, of the same arguments. Weights that are stored
            alike are written once.
        path: the file; what was there is replaced only by a whole one.

    Errors: :class:`pith.ArgumentError` for no kernels, two of one target, or kernels of different arguments;
        :class:`pith.UnsupportedError` for emulated GPUs; :class:`pith.MissingFileError`,
        :class:`pith.FileAccessError`.

    Example:
        >>> import tempfile, pathlib, pith
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "double.pith"
        >>> source = '''func.func @double(%x: tensor<?xf32>) -> tensor<?xf32> {
        ...   %y = arith.addf %x, %x : tensor<?xf32>
        ...   return %y : tensor<?xf32>
        ... }'''
        >>> save([pith.compile(source)], path)
        >>> targets(path)
        ('cpu',)
    """
    from .. import __version__

    plain = [kernel.saved() if hasattr(kernel, "saved") else kernel for kernel in _listed(kernels)]
    _require_one_program(plain)
    sections = Sections()
    programs = [_KINDS[_kind(kernel)].describe(kernel, sections) for kernel in plain]
    write_container(path, {"pith": __version__, "programs": programs}, sections.arrays)


def load(path: str | os.PathLike[str], target: str | None = None) -> Kernel | GpuKernel:
    """A kernel from a file that ``save`` or ``pith compile -o`` wrote.

    Args:
        path: the file.
        target: the one to take, of those in the file; by default the best for this machine: for its GPU the latest
            architecture that runs there, else the processor's.

    Semantics: called like the kernel that was saved; one of a PyTorch module takes its tensors one
        by one. ``ir`` and ``explain`` work where the compiler is installed.
    Errors: :class:`pith.FileFormatError` for files that are not bundles, cut short or changed;
        :class:`pith.UnsupportedError` for a newer version, a target that is not in the file, or a machine that none
        fits, with the reason for each; :class:`pith.RuntimeLibraryError` when the code needs another runtime;
        :class:`pith.MissingFileError`, :class:`pith.FileAccessError`.

    Example:
        >>> import tempfile, pathlib, numpy as np, pith
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "double.pith"
        >>> pith.compile('''func.func @double(%x: tensor<?xf32>) -> tensor<?xf32> {
        ...   %y = arith.addf %x, %x : tensor<?xf32>
        ...   return %y : tensor<?xf32>
        ... }''').save(path)
        >>> pith.load(path)(np.ones(2, np.float32))
        array([2., 2.], dtype=float32)
    """
    where = name_of_file(path, "pith.load")
    manifest, sections = read_container(where)
    try:
        programs = [(_KINDS[data["kind"]], data) for data in manifest["programs"]]
        if target is None:
            kind, data = _best(programs, where)
        else:
            kind, data = _named(programs, target, where)
        return kind.restore(data, sections)
    except _MALFORMED as error:
        raise _told(error, where) from error


def targets(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """The targets a bundle holds kernels for, in the order they were saved.

    Errors: as :func:`load`.
    """
    where = name_of_file(path, "targets")
    manifest, _ = read_container(where)
    try:
        return tuple(str(data["target"]) for data in manifest["programs"])
    except _MALFORMED as error:
        raise _told(error, where) from error


def _told(error: Exception, where: str) -> Exception:
    """What to raise for an error met while reading a manifest; pith's own say enough."""
    if isinstance(error, (FileFormatError, UnsupportedError)):
        return error
    return FileFormatError(f"has a malformed manifest ({error!r})", where=where, hint="compile it again")


def _listed(kernels: Any) -> list[Any]:
    try:
        return list(kernels)
    except TypeError as error:
        text = f"expects a list of kernels, got {type(kernels).__name__}"
        raise ArgumentError(text, where="save", hint="pith.save([kernel], path)") from error


def _kind(kernel: Any) -> str:
    if isinstance(kernel, Kernel | GpuKernel):
        return "gpu" if isinstance(kernel, GpuKernel) else "cpu"
    raise ArgumentError(f"expects kernels of pith.compile, got {type(kernel).__name__}", where="save")


def _require_one_program(kernels: Sequence[Any]) -> None:
    """Kernels in one file stand for each other: a caller passes the same arguments to each."""
    if not kernels:
        raise ArgumentError("expects at least one kernel", where="save")
    names = [_KINDS[_kind(k)].target_of(k) for k in kernels]
    if len(set(names)) != len(names):
        raise ArgumentError(f"expects one kernel per target, got {', '.join(names)}", where="save")
    first, *rest = ([(p.kind, p.dtype, p.shape) for p in k.free] for k in kernels)
    for name, other in zip(names[1:], rest):
        if other != first:
            raise ArgumentError(
                f"the kernel for {name} takes other arguments than the one for {names[0]}", where="save"
            )


def _best(programs: Sequence[tuple[Any, Mapping[str, Any]]], where: str) -> tuple[Any, Mapping[str, Any]]:
    """The program for this machine; GPUs before processors."""
    reasons: dict[str, list[str]] = {}
    for kind, data in sorted(programs, key=lambda p: p[0].preference(p[1]), reverse=True):
        reason = kind.unfit(data)
        if reason is None:
            return kind, data
        reasons.setdefault(reason, []).append(str(data["target"]))
    said = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in reasons.items())
    raise UnsupportedError(
        f"holds nothing for this machine: {said}",
        where=where,
        hint="compile it again on this machine, or on one like it",
    )


def _named(programs: Sequence[tuple[Any, Mapping[str, Any]]], target: str, where: str) -> tuple[Any, Mapping[str, Any]]:
    for kind, data in programs:
        if data["target"] == target:
            if kind is bundle_cpu and (reason := kind.unfit(data)):  # machine code of a processor runs at once
                raise UnsupportedError(reason, where=where, hint="compile it again on this machine")
            return kind, data
    held = ", ".join(str(data["target"]) for _, data in programs)
    raise UnsupportedError(f"holds no kernel for {target!r}", where=where, hint=f"it has: {held}")
