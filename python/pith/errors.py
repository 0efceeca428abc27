"""Errors a user of pith can meet.

Every error names what was wrong, where, and what to do about it. All derive from
:class:`Error`, so ``except pith.Error`` catches whatever pith raises on purpose.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any


class Error(Exception):
    """Base class of all errors raised by pith.

    Args:
        message: what is wrong, with the offending value.
        where: the op, argument, file position or key it was found at.
        hint: what the user can do about it.
    """

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None):
        self.message = message
        self.where = where
        self.hint = hint
        text = f"{where}: {message}" if where else message
        super().__init__(f"{text}\n  hint: {hint}" if hint else text)

    def __reduce__(self) -> Any:
        """Errors travel between processes as what they say and hold, whatever they were made of."""
        return _remade, (type(self), self.args, self.__dict__)


def _remade(kind: type[Error], args: tuple[Any, ...], state: dict[str, Any]) -> Error:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error


class FormatError(Error, ValueError):
    """A format is malformed, or a tensor does not obey the format it is given."""


class ShapeError(Error, ValueError):
    """Shapes or strides of operands do not fit each other or the format."""


class DTypeError(Error, TypeError):
    """An element type is not supported here, or operands disagree on it."""


class DeviceError(Error, ValueError):
    """An operand lives on a device the kernel cannot reach."""


class ArgumentError(Error, TypeError):
    """A call has the wrong number of arguments, or one that cannot be used (read-only, needs a gradient)."""


class MissingNameError(Error, AttributeError):
    """An attribute that other libraries' arrays have and pith's do not; the hint says what to write."""


class FileFormatError(Error, ValueError):
    """A file is malformed; ``where`` is ``path:line`` or ``path``."""


class FileAccessError(Error, OSError):
    """A file cannot be read or written; ``errno`` is the operating system's."""


class MissingFileError(FileAccessError, FileNotFoundError):
    """There is no such file."""


class PerformanceWarning(UserWarning):
    """Something is right, and slower than a user may expect; said once per process and cause."""


@contextlib.contextmanager
def naming(path: object, hint: str | None = None) -> Iterator[None]:
    """Give what the operating system says about a file as a :class:`FileAccessError`.

    >>> with naming("no/such/file.mtx"):
    ...     open("no/such/file.mtx")
    Traceback (most recent call last):
    ...
    pith.errors.MissingFileError: no/such/file.mtx: No such file or directory
    """
    try:
        yield
    except Error:
        raise
    except OSError as e:
        kind = MissingFileError if isinstance(e, FileNotFoundError) else FileAccessError
        error = kind(e.strerror or str(e), where=str(path), hint=hint)
        error.errno = e.errno
        raise error from e


@contextlib.contextmanager
def about_file(path: object) -> Iterator[None]:
    """Name the file that a text is from: what is said about places of the text calls it ``"-"``, or ``-`` in a line.

    >>> with about_file("f.mlir"):
    ...     raise IRError('error: "-":3:7: expects an operand')
    Traceback (most recent call last):
    ...
    pith.errors.IRError: error: "f.mlir":3:7: expects an operand
    """
    try:
        yield
    except Error as e:

        def named(text: Any) -> Any:
            return text.replace('"-":', f'"{path}":').replace("\n-:", f"\n{path}:") if isinstance(text, str) else text

        e.message, e.args = named(e.message), tuple(map(named, e.args))
        raise


@contextlib.contextmanager
def interrupts_kept() -> Iterator[None]:
    """Ctrl-C inside of a callback of MLIR comes out as a RuntimeError that quotes it: raise what it was.

    >>> try:
    ...     with interrupts_kept():
    ...         raise RuntimeError("Exception raised in callback: Traceback ...\\nKeyboardInterrupt: \\n")
    ... except KeyboardInterrupt:
    ...     print("interrupted")
    interrupted
    """
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        if text.startswith("Exception raised in callback") and "\nKeyboardInterrupt" in text:
            raise KeyboardInterrupt from error
        raise


class PipelineError(Error, ValueError):
    """A textual pass pipeline is malformed or names an unknown pass or option."""


class IRError(Error, ValueError):
    """MLIR text does not parse or an operation does not verify."""


class PassError(Error, RuntimeError):
    """A pass failed; the message carries the diagnostics, ``diagnostics`` has them as data."""

    diagnostics: tuple = ()


class UnsupportedError(Error, NotImplementedError):
    """Something valid that this version of pith cannot do; the hint names the way round."""


class ImportProgramError(Error, RuntimeError):
    """A PyTorch program could not be imported; ``where`` is the model's source line."""


class RuntimeLibraryError(Error, RuntimeError):
    """The native support library is missing or a compiled object cannot be loaded."""


class ToolError(Error, RuntimeError):
    """An external tool (ptxas, ...) is missing or refused its input."""


class CacheError(Error, OSError):
    """The kernel cache directory cannot be used."""


class CheckError(Error, IndexError):
    """A check inside a compiled program failed (an index out of range, ...); its results are void."""


class GpuError(Error, RuntimeError):
    """The CUDA driver refused something; ``code`` is its name for that, e.g. ``CUDA_ERROR_INVALID_VALUE``."""

    code: str = ""


class NoGpuError(GpuError):
    """There is no CUDA driver, no usable device, or cuda-bindings is not installed."""


class GpuArchitectureError(GpuError):
    """Machine code or PTX that this GPU or its driver cannot load."""


class GpuMemoryError(GpuError, MemoryError):
    """Device memory is exhausted; nothing the failed call allocated is left behind."""


class GpuLaunchError(GpuError):
    """A kernel could not be started, or failed; the message names it and its launch parameters."""


class KernelFault(Error, RuntimeError):
    """An emulated kernel did what hardware does not define; its results are void.

    Attributes:
        kind: ``out-of-bounds``, ``uninitialised``, ``race``, ``divergence``, ``misaligned``, ``deadlock``,
            ``stack-overflow``, ``invalid``, ``out-of-memory`` or ``assertion`` (of the program).
        kernel: name of the kernel.
        block, thread: which thread of which block, x first.
        location: file and line of the op.
        origin: of the op that the kernel stands for, at the pith level.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: str,
        kernel: str,
        block: tuple[int, int, int] | None = None,
        thread: tuple[int, int, int] | None = None,
        location: str = "",
        origin: str = "",
    ):
        self.kind, self.kernel, self.block, self.thread = kind, kernel, block, thread
        self.location, self.origin = location, origin
        of = f" ({origin})" if origin else ""
        who = "" if thread is None else f", block {block}, thread {thread}"
        at = f", at {location}" if location else ""
        super().__init__(f"{kind}: {message}", where=f"kernel {kernel}{of}{who}{at}")
