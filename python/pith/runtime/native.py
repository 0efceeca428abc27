"""The native support library (``runtime/``), loaded through ctypes."""

from __future__ import annotations

import ctypes
import functools
import numbers
import os
import pathlib

from ..errors import ArgumentError, RuntimeLibraryError

LIBRARY_NAME = "libpith_runtime.so"
_THREADS, _MOST_THREADS = "PITH_NUM_THREADS", 1024

#: Name -> (result, arguments) of the library's own entry points.
_PROTOTYPES: dict[str, tuple[object, tuple[object, ...]]] = {
    "pith_alloc": (ctypes.c_void_p, (ctypes.c_size_t, ctypes.c_size_t)),
    "pith_free": (None, (ctypes.c_void_p,)),
    "pith_live_bytes": (ctypes.c_int64, ()),
    "pith_cached_bytes": (ctypes.c_int64, ()),
    "pith_trim": (None, ()),
    "pith_set_num_threads": (None, (ctypes.c_int,)),
    "pith_get_num_threads": (ctypes.c_int, ()),
    "pith_openmp_path": (ctypes.c_char_p, ()),
    "pith_take_failure": (ctypes.c_int64, ()),
    "pith_cpu_identity": (None, (ctypes.c_char_p, ctypes.c_size_t)),
    "pith_object_load": (ctypes.c_void_p, (ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t)),
    "pith_object_symbol": (ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_char_p)),
    "pith_object_unload": (None, (ctypes.c_void_p,)),
}


def library_path() -> pathlib.Path:
    """Where the support library lies: ``PITH_RUNTIME_LIBRARY``, or beside this package.

    Errors: :class:`RuntimeLibraryError` when it is in neither place.
    """
    override = os.environ.get("PITH_RUNTIME_LIBRARY")
    if override:
        candidates = [pathlib.Path(override)]
    else:
        from . import __path__ as directories  # several in an editable install

        candidates = [pathlib.Path(directory) / LIBRARY_NAME for directory in directories]
    for path in candidates:
        if path.is_file():
            return path
    raise RuntimeLibraryError(
        "the native support library was not found at " + ", ".join(map(str, candidates)),
        hint="set PITH_RUNTIME_LIBRARY to the library, or unset it"
        if override
        else "reinstall pith-mlir (`pip install --force-reinstall .`); it needs a C++17 compiler",
    )


@functools.cache
def lib() -> ctypes.CDLL:
    """The loaded library with typed entry points.

    Errors: :class:`pith.ArgumentError` for a ``PITH_NUM_THREADS`` that is no number of threads.
    """
    text = os.environ.get(_THREADS, "").strip()
    if text and not (text.isascii() and text.isdigit() and int(text) <= _MOST_THREADS):
        hint = "0, or unset, is the OpenMP library's number"
        raise ArgumentError(f"expects 0 to {_MOST_THREADS} threads, got {text!r}", where=_THREADS, hint=hint)
    path = library_path()
    try:
        library = ctypes.CDLL(str(path))
        for name, (result, arguments) in _PROTOTYPES.items():
            function = getattr(library, name)
            function.restype = result
            function.argtypes = arguments
    except (OSError, AttributeError) as error:
        raise RuntimeLibraryError(
            f"the native support library cannot be used: {error}",
            where=str(path),
            hint="unset PITH_RUNTIME_LIBRARY, which names it, or reinstall pith-mlir there"
            if os.environ.get("PITH_RUNTIME_LIBRARY")
            else "it is from another version or machine: reinstall pith-mlir",
        ) from error
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_release_team)
    return library


#: ``omp_pause_hard``: let go of threads, too.
_PAUSE_HARD = 2


def _release_team() -> None:
    """End the threads that this thread's parallel regions use; the next region starts them again.

    libgomp would wait in a forked child for threads that are the parent's. Other libraries see to that themselves,
    and so does pith's own pool.
    """
    path = openmp_path()
    if os.path.basename(path).startswith("libgomp"):
        pause = getattr(ctypes.CDLL(path), "omp_pause_resource_all", None)  # since OpenMP 5.0
        if pause is not None:
            pause(_PAUSE_HARD)


def live_bytes() -> int:
    """Bytes held by kernels and by arrays that kernels returned.

    Example:
        >>> live_bytes() >= 0
        True
    """
    return lib().pith_live_bytes()


def trim() -> None:
    """Give the memory kept for reuse back to the operating system."""
    lib().pith_trim()


def num_threads() -> int:
    """Threads the next parallel region would get.

    In order: :func:`set_num_threads`, ``PITH_NUM_THREADS``, the OpenMP library's number
    (``torch.set_num_threads``, ``OMP_NUM_THREADS``), the processors this process may use.
    """
    return lib().pith_get_num_threads()


def set_num_threads(threads: int) -> None:
    """Fix the number of threads of parallel regions; 0 goes back to the default.

    Errors: :class:`pith.ArgumentError` for another number than 0 to 1024.
    """
    if not isinstance(threads, numbers.Integral) or not 0 <= threads <= _MOST_THREADS:
        raise ArgumentError(
            f"expects 0 to {_MOST_THREADS} threads, got {threads!r}", where="pith.runtime.set_num_threads"
        )
    lib().pith_set_num_threads(int(threads))


def take_failure() -> int:
    """Id of a run-time check that failed in a kernel this thread called, since it last asked; else 0."""
    return lib().pith_take_failure()


def openmp_path() -> str:
    """Path of the OpenMP library kernels run in; empty when they run in pith's own pool."""
    return lib().pith_openmp_path().decode()
