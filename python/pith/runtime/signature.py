"""What a native entry function takes and returns, as plain data that goes into caches and bundles."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, Literal

import numpy as np

from ..errors import DTypeError, ShapeError

#: MLIR element type -> NumPy name. MLIR integers have no sign: arrays of unsigned integers fit too.
_NUMPY_NAMES = {
    "f16": "float16",
    "f32": "float32",
    "f64": "float64",
    "i1": "bool",
    "i8": "int8",
    "i16": "int16",
    "i32": "int32",
    "i64": "int64",
    "index": "int64",
    "complex64": "complex64",
    "complex128": "complex128",
}

#: Element types that can be passed by value.
SCALAR_DTYPES = ("i1", "i8", "i16", "i32", "i64", "index", "f32", "f64")

Layout = Literal["identity", "strided"]


@functools.cache
def numpy_dtype(name: str) -> np.dtype:
    """The NumPy dtype of an element type; bfloat16 is opaque where ``ml_dtypes`` is not installed.

    Errors: :class:`DTypeError` for a name that is none.

    Example:
        >>> numpy_dtype("index"), numpy_dtype("f16")
        (dtype('int64'), dtype('float16'))
    """
    if name == "bf16":
        try:
            import ml_dtypes
        except ImportError:  # bundles run without it: their kernels know what the bits mean
            return np.dtype("V2")
        return np.dtype(ml_dtypes.bfloat16)
    if name not in _NUMPY_NAMES:
        raise DTypeError(f"unknown element type {name!r}", hint="one of bf16, " + ", ".join(_NUMPY_NAMES))
    return np.dtype(_NUMPY_NAMES[name])


@functools.cache
def accepted_dtypes(name: str) -> tuple[np.dtype, ...]:
    """The NumPy dtypes an argument of an element type may have.

    Example:
        >>> accepted_dtypes("i8")
        (dtype('int8'), dtype('uint8'))
    """
    dtype = numpy_dtype(name)
    return (dtype, np.dtype(f"uint{dtype.itemsize * 8}")) if dtype.kind == "i" else (dtype,)


def dtype_name(dtype: np.dtype | str | type) -> str:
    """The element type of a NumPy dtype; :class:`DTypeError` when there is none.

    Example:
        >>> dtype_name("float32"), dtype_name(np.uint8), dtype_name(np.int64)
        ('f32', 'i8', 'i64')
    """
    dtype = np.dtype(dtype)
    for name in (*_NUMPY_NAMES, "bf16"):  # bf16 last: it alone needs ml_dtypes, 6 ms to import
        if name != "index" and dtype in accepted_dtypes(name):
            return name
    raise DTypeError(
        f"arrays of {dtype} cannot be passed to kernels", hint="convert with .astype(...), e.g. to float32"
    )


@dataclasses.dataclass(frozen=True)
class MemRefSpec:
    """A memref argument or result.

    Attributes:
        dtype: element type: f16, bf16, f32, f64, i1, i8, i16, i32, i64, index, complex64, complex128.
        shape: sizes; -1 is known only at run time.
        name: what error messages call it.
        writable: the function writes to it (arguments only).
        layout: ``identity`` (row-major) or ``strided`` (the kernel reads the strides at run time).
        unsigned: its integers have no sign (results only: arguments may be either).
    """

    dtype: str
    shape: tuple[int, ...]
    name: str = ""
    writable: bool = False
    layout: Layout = "identity"
    unsigned: bool = False

    def __post_init__(self) -> None:
        numpy_dtype(self.dtype)
        object.__setattr__(self, "shape", tuple(int(size) for size in self.shape))
        if any(size < -1 for size in self.shape):
            raise ShapeError(f"sizes are at least 0, or -1 when dynamic; got {self.shape}", where=self.name or None)
        if self.layout not in ("identity", "strided"):
            raise ShapeError(f"layout is 'identity' or 'strided', got {self.layout!r}", where=self.name or None)

    @property
    def numpy_dtype(self) -> np.dtype:
        """The NumPy dtype of what is returned."""
        return accepted_dtypes(self.dtype)[-1 if self.unsigned else 0]

    @property
    def rank(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def words(self) -> int:
        """64-bit words of the descriptor: two pointers, offset, sizes, strides."""
        return 3 + 2 * len(self.shape)

    def __str__(self) -> str:
        sizes = "x".join("?" if size == -1 else str(size) for size in self.shape)
        return f"{sizes}x{self.dtype}" if sizes else self.dtype


@dataclasses.dataclass(frozen=True)
class ScalarSpec:
    """A number passed or returned by value."""

    dtype: str
    name: str = ""

    def __post_init__(self) -> None:
        if self.dtype not in SCALAR_DTYPES:
            raise DTypeError(
                f"{self.dtype!r} cannot be passed by value",
                where=self.name or None,
                hint="pass a memref of rank 0, or one of " + ", ".join(SCALAR_DTYPES),
            )

    def __str__(self) -> str:
        return self.dtype


Spec = MemRefSpec | ScalarSpec


@dataclasses.dataclass(frozen=True)
class Signature:
    """Name, arguments and results of an entry function.

    Example:
        >>> s = Signature("scale", (MemRefSpec("f32", (-1,), "x", writable=True), ScalarSpec("f32", "by")))
        >>> str(s)
        'scale(x: ?xf32, by: f32)'
        >>> Signature.from_json(s.to_json()) == s
        True
    """

    name: str
    args: tuple[Spec, ...]
    results: tuple[Spec, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "args", tuple(self.args))
        object.__setattr__(self, "results", tuple(self.results))

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries, lists, strings and numbers."""
        return {
            "name": self.name,
            "args": [_spec_to_json(spec) for spec in self.args],
            "results": [_spec_to_json(spec) for spec in self.results],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Signature:
        """Inverse of :meth:`to_json`; ``KeyError`` or ``TypeError`` on anything else."""
        args, results = (tuple(map(_spec_from_json, data[key])) for key in ("args", "results"))
        return cls(data["name"], args, results)

    def __str__(self) -> str:
        args = ", ".join(f"{spec.name}: {spec}" if spec.name else str(spec) for spec in self.args)
        results = ", ".join(map(str, self.results))
        return f"{self.name}({args})" + (f" -> {results}" if results else "")


def _spec_to_json(spec: Spec) -> dict[str, Any]:
    kind = "memref" if isinstance(spec, MemRefSpec) else "scalar"
    return {"kind": kind, **dataclasses.asdict(spec)}


def _spec_from_json(data: dict[str, Any]) -> Spec:
    fields = dict(data)
    kind = fields.pop("kind")
    if kind == "memref":
        return MemRefSpec(**{**fields, "shape": tuple(fields["shape"])})
    return ScalarSpec(**fields)
