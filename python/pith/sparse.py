"""Sparse tensors on the host: :class:`SparseTensor`, and how to get one."""

from __future__ import annotations

import dataclasses
import math
import operator
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from .errors import DTypeError, FormatError, ShapeError
from .formats.buffers import buffer_specs
from .formats.format import DYNAMIC, Format
from .formats.hss import HSS
from .formats.pack import pack_coordinates
from .formats.pack_buffers import metadata_dtype
from .formats.pack_check import check_storage
from .formats.pack_read import coordinates_of
from .formats.parse import format_name
from .named_formats import BAND, BSR, COO, CSC, CSR, DIA, NM, FormatLike, as_format, in_the_words_of
from .packing import pack, unpack
from .sparse_elements import converted
from .sparse_interop import array_like, from_scipy, from_torch, is_foreign, is_torch, numpy_of, to_scipy, to_torch
from .sparse_operators import SparseOperators
from .untraced import whole

__all__ = ["BAND", "BSR", "COO", "CSC", "CSR", "DIA", "NM", "FormatLike", "SparseTensor", "as_format", "check_dtype"]
__all__ += ["compress", "taken_over"]


@whole
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class SparseTensor(SparseOperators):
    """A tensor stored in a format: flat buffers in the order of the storage contract.

    Attributes:
        shape: sizes of the dimensions.
        format: how it is stored.
        buffers: metadata buffers (:func:`pith.formats.buffer_specs`), then the values; 1-D and contiguous.
        hss: the hierarchical notation of ``format`` when it was given in it (used for printing).
        dense_shape: shape of the dense tensor when ``hss`` flattens some of its dimensions into one of ``shape``.

    Semantics: never changes after construction; arrays taken over from SciPy, torch or the caller
        are shared, not copied. :meth:`validate` checks buffers of unknown origin.
    Errors: :class:`pith.FormatError` and :class:`pith.DTypeError` when buffers do not belong to the format.

    Example:
        >>> A = compress(np.eye(4, dtype=np.float32), "csr")
        >>> A
        SparseTensor(4x4 float32, csr, 4 stored, 52 bytes)
        >>> A.to("C0(2:4)").to_dense().trace()
        np.float32(4.0)
    """

    shape: tuple[int, ...]
    format: Format
    buffers: tuple[np.ndarray, ...]
    hss: HSS | None = None
    dense_shape: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(int(s) for s in self.shape))
        if self.dense_shape is not None and math.prod(self.dense_shape) != math.prod(self.shape):
            raise ShapeError(f"a tensor of shape {self.shape} does not unfold to {self.dense_shape}")
        object.__setattr__(self, "buffers", tuple(self.buffers))
        if DYNAMIC in self.shape:
            raise ShapeError(f"a stored tensor has sizes, got shape {self.shape}")
        self.format.check_shape(self.shape)
        _check_buffers(self.buffers, self.format)

    # -- constructors ---------------------------------------------------------------

    @classmethod
    def from_dense(cls, dense: Any, fmt: FormatLike) -> SparseTensor:
        """Store a NumPy array or torch tensor; it must obey the format (see :func:`compress`)."""
        array = numpy_of(dense)
        check_dtype(array)
        form, hss = as_format(fmt)
        shape = array.shape if hss is None else hss.flat_shape(array.shape)
        unfolded = None if shape == array.shape else array.shape
        with in_the_words_of(hss, form):
            return cls(shape, form, tuple(pack(array.reshape(shape), form)), hss, unfolded)

    @classmethod
    def from_coordinates(
        cls, coords: Any, values: np.ndarray, shape: Sequence[int], fmt: FormatLike = COO
    ) -> SparseTensor:
        """Store ``values[i]`` at ``coords[:, i]``; values of repeated coordinates are added up.

        >>> SparseTensor.from_coordinates([[0, 0], [1, 1]], np.array([2.0, 3.0]), (2, 2)).to_dense().tolist()
        [[0.0, 5.0], [0.0, 0.0]]
        """
        array = array_like(values, "values")
        check_dtype(array)
        form, hss = as_format(fmt)
        try:
            sizes = tuple([operator.index(s) for s in shape])
        except TypeError as error:
            raise ShapeError(f"a shape is a sequence of integers: {error}") from None
        dims = [array_like(c, "coords") for c in coords] if np.iterable(coords) else [array_like(coords, "coords")]
        with in_the_words_of(hss, form):
            return cls(sizes, form, tuple(pack_coordinates(dims, array, sizes, form)), hss)

    @classmethod
    def from_scipy(cls, matrix: Any) -> SparseTensor:
        """A SciPy sparse matrix or array; CSR, CSC, COO and BSR in canonical order are not copied."""
        return cls(*from_scipy(matrix))

    @classmethod
    def from_torch(cls, tensor: Any, fmt: FormatLike = CSR) -> SparseTensor:
        """A torch tensor on the CPU: COO, CSR, CSC, BSR and BSC as they are, strided ones stored in ``fmt``.

        Semi-structured ones (CUTLASS's layout, any device) become ``C0(2:4)``; those of f32 ``C0(1:2)``.
        """
        parts = from_torch(tensor)
        return cls.from_dense(tensor, fmt) if parts is None else cls(*parts)

    # -- queries --------------------------------------------------------------------

    @property
    def values(self) -> np.ndarray:
        """The stored values, zeros that fill up groups and blocks included."""
        return self.buffers[-1]

    @property
    def dtype(self) -> np.dtype:
        """Element type."""
        return self.values.dtype

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def nse(self) -> int:
        """Number of stored elements."""
        return self.values.size

    @property
    def nnz(self) -> int:
        """Number of stored elements that are not zero."""
        return int(np.count_nonzero(self.values))

    @property
    def nbytes(self) -> int:
        """Bytes of all buffers."""
        return sum(b.nbytes for b in self.buffers)

    @property
    def density(self) -> float:
        """Non-zeros as a share of all elements (0 for a tensor without elements)."""
        return self.nnz / max(1, math.prod(self.shape))

    def coordinates(self) -> tuple[np.ndarray, np.ndarray]:
        """Stored elements as ((rank, nse) int64 coordinates, values), in storage order."""
        return coordinates_of(self.buffers, self.format, self.shape)

    def validate(self) -> SparseTensor:
        """Check every buffer against the storage contract; returns self.

        Errors: :class:`pith.FormatError` naming the level and the first bad entry.
        """
        check_storage(self.buffers, self.format, self.shape)
        return self

    # -- conversions ----------------------------------------------------------------

    @property
    def T(self) -> SparseTensor:
        """The transposed tensor on the same buffers; nothing is copied, and it is the same object every time.

        >>> compress(np.array([[0.0, 5.0]]), "csr").T
        SparseTensor(2x1 float64, csc, 1 stored, 20 bytes)
        """
        kept = self.__dict__.get("_transposed")
        made = kept() if isinstance(kept, weakref.ref) else kept
        if made is None:
            made = self.__dict__["_transposed"] = SparseTensor(self.shape[::-1], self.format.transposed(), self.buffers)
            made.__dict__["_transposed"] = weakref.ref(self)
        return made

    def __getstate__(self) -> dict[str, Any]:
        """Without the transposed view, which refers to this tensor."""
        return {name: value for name, value in self.__dict__.items() if name != "_transposed"}

    def to_dense(self) -> np.ndarray:
        """The tensor as a new row-major array, of ``dense_shape`` where there is one.

        Errors: :class:`pith.FormatError` when the array does not fit into memory.
        """
        dense = unpack(self.buffers, self.format, self.shape)
        return dense if self.dense_shape is None else dense.reshape(self.dense_shape)

    #: SciPy's names for it.
    toarray = todense = to_dense

    def to(self, fmt: FormatLike) -> SparseTensor:
        """The same tensor in another format, through coordinates: no dense tensor is made.

        Semantics: stored zeros are dropped; returns self when the format is the present one.
        Errors: :class:`pith.FormatError` when the tensor does not obey ``fmt``.
        """
        form, hss = as_format(fmt)
        if form == self.format:
            return self if hss == self.hss else dataclasses.replace(self, hss=hss)
        with in_the_words_of(hss, form):
            buffers = converted(self, form)
        return dataclasses.replace(self, format=form, buffers=buffers, hss=hss)

    def astype(self, dtype: Any) -> SparseTensor:
        """The same tensor with values of another element type."""
        return dataclasses.replace(self, buffers=(*self.buffers[:-1], self.values.astype(dtype, copy=False)))

    def to_scipy(self) -> Any:
        """A SciPy ``csr_array``, ``csc_array``, ``coo_array`` or ``bsr_array`` on the same buffers; a ``dia_array``."""
        return to_scipy(self)

    def to_torch(self) -> Any:
        """A torch tensor of layout CSR, CSC, COO, BSR or BSC on the same buffers (COO indices are copied).

        ``C0(2:4)`` (of f32: ``C0(1:2)``) becomes a semi-structured tensor in CUTLASS's layout.
        """
        return to_torch(self)

    def explain(self, x: Any, *, variant: str = "auto") -> str:
        """What ``self @ x`` runs, and why: :func:`pith.explain`."""
        from .tuning.report import explain

        return explain(self, x, variant=variant)

    def __repr__(self) -> str:
        size = "x".join(map(str, self.shape))
        name = self.hss or format_name(self.format)
        return f"SparseTensor({size} {self.dtype}, {name}, {self.nse} stored, {self.nbytes} bytes)"


def _check_buffers(buffers: tuple[np.ndarray, ...], fmt: Format) -> None:
    """Number, rank and element types of the buffers; contents are for :func:`check_storage`."""
    specs = buffer_specs(fmt)
    if len(buffers) != len(specs) + 1:
        raise FormatError(f"format {fmt} has {len(specs)} metadata buffers and the values, got {len(buffers)} buffers")
    for i, b in enumerate(buffers):
        if not isinstance(b, np.ndarray) or b.ndim != 1 or not b.flags.c_contiguous:
            raise FormatError(f"buffer {i} of format {fmt} must be a contiguous 1-D NumPy array")
    for i, spec in enumerate(specs):
        if buffers[i].dtype != (expected := metadata_dtype(spec.bits)):
            raise DTypeError(
                f"buffer {i} ({spec.role} of level {spec.level}) expects {expected}, got {buffers[i].dtype}",
                hint="convert the buffer, or change the format with fmt.with_widths(...)",
            )
    check_dtype(buffers[-1])


def check_dtype(array: np.ndarray) -> None:
    """Raise :class:`DTypeError` unless elements are numbers or booleans (ml_dtypes included), in native byte order."""
    kind = array.dtype.kind
    number = kind in "biufc" or (kind == "V" and _is_extended(array.dtype))
    if not number or not array.dtype.isnative:
        raise DTypeError(f"elements of type {array.dtype} cannot be stored", hint="convert with .astype(...)")


def _is_extended(dtype: np.dtype) -> bool:
    """True for the types of ml_dtypes, and where that is not installed for bfloat16 as bundles hold it."""
    if dtype.type.__module__.startswith("ml_dtypes"):
        return True
    from .runtime.signature import numpy_dtype

    return dtype == numpy_dtype("bf16")


def compress(w: Any, fmt: FormatLike) -> SparseTensor:
    """Store a dense tensor in a format it obeys.

    Shapes:  w: NumPy array or torch tensor (any device; the result is on the host), or a sparse matrix of pith,
        SciPy or torch.
    Semantics: nothing is dropped: prune first where the format is structured. NaN is stored, -0.0 is zero.
    Errors:  :class:`pith.FormatError` naming the first element the format has no room for;
        :class:`pith.ShapeError` with the padded size when the format does not divide the shape;
        :class:`pith.DTypeError` for elements that are not numbers.

    Example:
        >>> compress(np.array([[0, 1, 0, 2]], np.int8), "C0(2:4)").values
        array([1, 2], dtype=int8)
    """
    w = taken_over(w)
    return w.to(fmt) if isinstance(w, SparseTensor) else SparseTensor.from_dense(w, fmt)


def taken_over(value: Any) -> Any:
    """A sparse matrix of SciPy or torch as a :class:`SparseTensor`, copied only where layouts differ; others as is."""
    if not is_foreign(value):
        return value
    return SparseTensor.from_torch(value) if is_torch(value) else SparseTensor.from_scipy(value)
