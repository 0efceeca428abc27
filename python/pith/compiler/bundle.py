"""Kernels as files: ``Kernel.save`` and ``pith.load``, which needs neither MLIR nor torch."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import FileFormatError, UnsupportedError
from ..runtime.arrays import as_array
from ..runtime.artifact import Artifact
from ..runtime.cpu import cpu_features
from ..runtime.signature import Signature, dtype_name
from .container import read_container, write_container
from .kernel import Kernel
from .sizes import SizeRules

#: Sections every bundle begins with: machine code, and the pith-level source (for ``ir`` and ``explain``).
_FIXED = 2


def save(kernel: Kernel, path: str | os.PathLike[str], sizes: SizeRules | None = None) -> None:
    """Write ``kernel``, its code and its bound parameters; see :meth:`pith.Kernel.save`.

    Args:
        sizes: rules for dynamic sizes the loaded kernel shall check besides the kernel's own.
    """
    from .. import __version__

    arrays: list[np.ndarray] = []
    bound = {str(i): [_describe(v, arrays) for v in values] for i, values in kernel.bound.items()}
    manifest = {
        "pith": __version__,
        "machine": platform.machine(),
        "features": sorted(cpu_features()),
        "entry": kernel.name,
        "path": kernel.path,
        "signatures": [s.to_json() for s in kernel.artifact.signatures],
        "meta": dict(kernel.artifact.meta),
        "bound": bound,
        "sizes": {
            str(i): {str(d): list(rule) for d, rule in dims.items()} for i, dims in (sizes or kernel.sizes).items()
        },
    }
    code = np.frombuffer(kernel.artifact.object, np.uint8)
    source = np.frombuffer(kernel.source.encode(), np.uint8)
    write_container(path, manifest, [code, source, *arrays])


def load(path: str | os.PathLike[str]) -> Kernel:
    """A kernel from a file that ``save`` or ``pith compile -o`` wrote.

    Semantics: called like the kernel that was saved; one of a PyTorch module takes its tensors one
        by one. ``ir`` and ``explain`` work where the compiler is installed.
    Errors: :class:`pith.FileFormatError` for files that are not bundles, cut short or changed;
        :class:`pith.UnsupportedError` for a newer version or a processor without the instructions
        the code may use; :class:`pith.RuntimeLibraryError` when the code needs another runtime;
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
    where = os.fspath(path)
    manifest, sections = read_container(where)
    try:
        _require_machine(manifest, where)
        signatures = tuple(map(Signature.from_json, manifest["signatures"]))
        artifact = Artifact(sections[0].tobytes(), signatures, manifest["meta"])
        bound = {int(i): [_restore(v, sections) for v in values] for i, values in manifest["bound"].items()}
        source = sections[1].tobytes().decode()
        return Kernel(source, manifest["entry"], manifest["path"], artifact, bound, _size_rules(manifest["sizes"]))
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, (FileFormatError, UnsupportedError)):
            raise
        raise FileFormatError(f"has a malformed manifest ({error!r})", where=where, hint="compile it again") from error


def _describe(value: Any, arrays: list[np.ndarray]) -> dict[str, Any]:
    """One native argument as JSON; the bytes of arrays go to ``arrays``."""
    if isinstance(value, (int, float)):
        return {"number": value}
    array = np.ascontiguousarray(as_array(value, "a bound parameter"))
    arrays.append(array.reshape(-1).view(np.uint8))
    shape = list(np.shape(value))
    unsigned = array.dtype.kind == "u"
    return {"section": _FIXED + len(arrays) - 1, "dtype": dtype_name(array.dtype), "unsigned": unsigned, "shape": shape}


def _restore(data: Mapping[str, Any], sections: list[np.ndarray]) -> Any:
    """Inverse of :func:`_describe`; arrays share the memory the file was read into."""
    from ..runtime.signature import accepted_dtypes

    if "number" in data:
        return data["number"]
    dtype = accepted_dtypes(data["dtype"])[-1 if data["unsigned"] else 0]
    return sections[data["section"]].view(dtype).reshape(data["shape"])


def _size_rules(data: Mapping[str, Any]) -> SizeRules:
    return {int(i): {int(d): (rule[0], rule[1], rule[2]) for d, rule in dims.items()} for i, dims in data.items()}


def _require_machine(manifest: Mapping[str, Any], where: str) -> None:
    """Refuse code for another architecture or for instructions this processor does not have."""
    if manifest["machine"] != platform.machine():
        raise UnsupportedError(
            f"holds code for {manifest['machine']}, this machine is {platform.machine()}", where=where, hint=_AGAIN
        )
    missing = sorted(set(manifest["features"]) - cpu_features())
    if missing:
        raise UnsupportedError(
            f"was compiled for a processor with {', '.join(missing)}, which this one does not have",
            where=where,
            hint=_AGAIN,
        )


_AGAIN = "compile it again on this machine, or on one with the same processor"
