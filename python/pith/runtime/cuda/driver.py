"""The CUDA driver, through NVIDIA's ``cuda-bindings`` (the only place that imports it)."""

from __future__ import annotations

import functools
import importlib
from typing import Any

from ...errors import GpuArchitectureError, NoGpuError
from .failures import failure


@functools.cache
def driver() -> Any:
    """The module ``cuda.bindings.driver``, initialised.

    Errors: :class:`pith.NoGpuError` when the bindings or the driver are missing, or the driver cannot start.
    """
    bindings = _bindings()
    try:
        (status,) = bindings.cuInit(0)
    except (RuntimeError, OSError) as error:  # the bindings look for libcuda when it is first called
        raise NoGpuError(
            "there is no CUDA driver: libcuda.so.1 cannot be loaded",
            hint="install NVIDIA's driver; target='emulate:sm_90' runs kernels without a GPU",
        ) from error
    if status:
        raise failure(bindings, status, "starting the CUDA driver")
    return bindings


def _bindings() -> Any:
    try:
        return importlib.import_module("cuda.bindings.driver")
    except ImportError as error:
        raise NoGpuError(
            f"cuda-bindings cannot be imported: {error}", hint="pip install 'pith-mlir[gpu]' installs it"
        ) from error


def entry(symbol: str, since: int, needed_for: str) -> int:
    """The address of a function of the driver, for what the bindings cannot pass or pass too slowly.

    Args:
        since: the CUDA version that brought it: 12000.
        needed_for: what does not work without it, for the error.

    Errors: :class:`pith.GpuArchitectureError` for a driver that is older than the function.
    """
    status, address, *_ = driver().cuGetProcAddress(symbol.encode(), since, 0)
    if status or not address:
        raise GpuArchitectureError(
            f"the driver has no {symbol}, which {needed_for} needs",
            hint=f"update the driver to CUDA {since // 1000} or newer",
        )
    return int(address)


def check(result: tuple[Any, ...], doing: str) -> Any:
    """The value of a driver call, or the tuple of its values; None without any.

    Args:
        result: what a function of the bindings returned: status, values.
        doing: what was asked for, for the error.

    Errors: :class:`pith.GpuError` and its subclasses.
    """
    status, *values = result
    if status:
        raise failure(driver(), status, doing)
    return values[0] if len(values) == 1 else tuple(values) or None


def driver_version() -> tuple[int, int]:
    """The newest CUDA version the driver serves: ``(13, 0)``.

    Errors: :class:`pith.NoGpuError`.
    """
    version = check(driver().cuDriverGetVersion(), "asking for the driver's version")
    return version // 1000, version % 1000 // 10
