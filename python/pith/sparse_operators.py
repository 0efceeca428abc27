"""Arithmetic and slices of sparse tensors: what NumPy, SciPy and torch users write with operators."""

from __future__ import annotations

import dataclasses
import numbers
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import ArgumentError, CheckError, DTypeError, FormatError, ShapeError, UnsupportedError
from .foreign_names import INSTEAD_OF_TENSORS, SAME_OF_TENSORS, RefusedOperators
from .formats.format import Format
from .formats.pack_buffers import aligned_zeros
from .named_formats import in_the_words_of
from .sparse_elements import sums
from .sparse_interop import array_like, index_of, is_foreign, is_torch, numpy_of, torch_of_numpy

if TYPE_CHECKING:
    from .sparse import SparseTensor

#: (coordinates, values) -> those of a result.
Change = Callable[[np.ndarray, np.ndarray], Sequence[np.ndarray]]


class SparseOperators(RefusedOperators):
    """The operators of :class:`pith.SparseTensor`.

    Semantics: results keep the format of the left sparse operand, and elements that are zero stay exact zeros,
        whatever they are multiplied with or divided by. ``==`` is identity, as for any object; equal values are
        ``(A - B).nnz == 0``. Truth and length are errors, as they are in SciPy.
    Errors:  :class:`pith.ShapeError` for shapes that do not broadcast; :class:`pith.FormatError` when a sum or a
        slice does not obey the format; :class:`pith.ArgumentError` for results that would not be sparse.
    """

    SAME, INSTEAD = SAME_OF_TENSORS, INSTEAD_OF_TENSORS

    def __matmul__(self, other: Any) -> Any:
        """``A @ x``: :func:`pith.matmul`."""
        from .functional.matmul.matmul import matmul

        return matmul(self, other)

    def __rmatmul__(self, other: Any) -> Any:
        """``x @ A``: :func:`pith.matmul`."""
        from .functional.matmul.matmul import matmul

        return matmul(other, self)

    def __mul__(self, other: Any) -> Any:
        """By a number, or element by element by an array that broadcasts to this shape or a sparse matrix.

        >>> import numpy as np, pith
        >>> (pith.compress(np.array([[0.0, 5.0]]), "csr") * [[np.nan, 2]]).to_dense()
        array([[ 0., 10.]])
        """
        if is_sparse(other):
            return _times_sparse(_tensor(self), other)
        return _scaled(_tensor(self), np.multiply, other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        """By a number, or by an array that broadcasts to this shape."""
        if is_sparse(other):
            raise ArgumentError("a quotient of sparse tensors is 0 / 0 almost everywhere", hint="A / B.to_dense()")
        return _scaled(_tensor(self), np.true_divide, other)

    def __pow__(self, exponent: Any) -> SparseTensor:
        """Element by element, to a power above 0."""
        if not is_number(exponent) or isinstance(exponent, complex) or not exponent > 0:
            raise ArgumentError(
                f"expects a number above 0 as exponent, got {exponent!r}: zeros have to stay zeros",
                hint="A.to_dense() ** x",
            )
        return _mapped(_tensor(self), np.power, exponent)

    def __neg__(self) -> SparseTensor:
        return _mapped(_tensor(self), np.negative)

    def __abs__(self) -> SparseTensor:
        return _mapped(_tensor(self), np.absolute)

    def __add__(self, other: Any) -> Any:
        """Sparse and sparse: sparse. Sparse and dense: a dense array. 0 changes nothing, so ``sum([A, B])`` works.

        >>> import numpy as np, pith
        >>> A = pith.compress(np.array([[0.0, 5.0]]), "csr")
        >>> A + 2 * A
        SparseTensor(1x2 float64, csr, 1 stored, 20 bytes)
        """
        if is_number(other):
            if other != 0:
                raise ArgumentError("a number added to a sparse tensor leaves no zeros", hint=f"A.to_dense() + {other}")
            return self
        if is_sparse(other):
            return _plus_sparse(_tensor(self), other)
        if not _is_array(other):
            return NotImplemented
        return _dense_sum(_tensor(self), other, np.add)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        if is_sparse(other):
            return self + -_tensor(other)
        if is_number(other):
            return self + -other
        return _dense_sum(_tensor(self), other, np.subtract) if _is_array(other) else NotImplemented

    def __rsub__(self, other: Any) -> Any:
        return -self + other

    def sum(self, axis: int | None = None, dtype: None = None, out: None = None) -> Any:
        """The sum of all elements, or along one dimension as a dense array; floats are added up in float64.

        ``dtype`` and ``out`` are there for ``np.sum(A, axis)``, and stay None.

        >>> import numpy as np, pith
        >>> pith.compress(np.array([[0.0, 5.0], [1.0, 2.0]]), "csr").sum(axis=1)
        array([5., 3.])
        """
        if dtype is not None or out is not None:
            raise ArgumentError("sums of sparse tensors take an axis only", hint="A.astype(dtype).sum(axis)")
        tensor = _tensor(self)
        wide = np.float64 if tensor.dtype.kind in "fV" else np.sum(tensor.values[:0]).dtype
        narrow = tensor.dtype if wide is np.float64 else wide
        rank = tensor.ndim
        if axis is not None and not (isinstance(axis, numbers.Integral) and -rank <= axis < rank):
            raise ShapeError(f"expects a dimension of the tensor ({-rank} to {rank - 1}), got {axis}", where="axis")
        if axis is None or rank == 1:
            return tensor.coordinates()[1].sum(dtype=wide).astype(narrow)
        return sums(tensor, axis % rank, wide).astype(narrow, copy=False)

    def __getitem__(self, key: Any) -> Any:
        """Rows, columns and elements of a matrix, by what SciPy's ``csr_array`` takes: integers, slices, arrays.

        Semantics: a part with two dimensions is in the format of the matrix, one with one dimension a list of
            coordinates. Time in proportion to what is stored.
        Errors:  :class:`pith.FormatError` when a part does not obey the format; :class:`pith.CheckError` (an
            ``IndexError``) for an index out of range; :class:`pith.UnsupportedError` for other ranks.

        >>> import numpy as np, pith
        >>> A = pith.compress(np.array([[0.0, 5.0], [1.0, 2.0]]), "csr")
        >>> A[1:], A[0].to_dense(), A[1, 0]
        (SparseTensor(1x2 float64, csr, 2 stored, 32 bytes), array([0., 5.]), np.float64(1.0))
        """
        return _part(_tensor(self), key)


def is_number(value: Any) -> bool:
    """True for numbers of Python and NumPy; arrays without dimensions are arrays."""
    return isinstance(value, numbers.Number | np.generic)


def is_sparse(value: Any) -> bool:
    """True for sparse tensors of pith, SciPy and torch."""
    return isinstance(value, SparseOperators) or is_foreign(value)


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) or is_torch(value)


def _tensor(value: Any) -> SparseTensor:
    """Any sparse operand as a :class:`pith.SparseTensor`; those of others are shared where layouts agree."""
    from .sparse import taken_over

    return taken_over(value)


def _dense_sum(tensor: SparseTensor, other: Any, operation: np.ufunc) -> Any:
    """A dense sum or difference, of the kind of ``other``."""
    array = numpy_of(other)
    try:
        total = operation(tensor.to_dense(), array)
    except ValueError:
        raise ShapeError(f"an array of shape {array.shape} and a tensor of shape {tensor.shape}") from None
    except TypeError as error:
        raise DTypeError(f"{operation.__name__} of {tensor.dtype} and {array.dtype}: {error}") from None
    return torch_of_numpy(total) if is_torch(other) else total


def _mapped(tensor: SparseTensor, operation: np.ufunc, *operands: Any) -> SparseTensor:
    """``operation`` of every stored value that is not zero (places that fill up groups hold zeros)."""
    values = tensor.values
    try:
        dtype = operation(values[:0], *operands).dtype
    except TypeError as error:
        raise DTypeError(
            f"{operation.__name__} of {values.dtype}: {error}", hint="convert with A.astype(...)"
        ) from None
    out = aligned_zeros(values.size, dtype)
    operation(values, *operands, out=out, where=values != 0)
    return dataclasses.replace(tensor, buffers=(*tensor.buffers[:-1], out))


def _scaled(tensor: SparseTensor, operation: np.ufunc, other: Any) -> Any:
    """``operation`` with a number, or with the elements of an array at the coordinates of the non-zeros."""
    if is_number(other):
        return _mapped(tensor, operation, other)
    if isinstance(other, list | tuple):
        other = array_like(other, "the other operand")
    if not _is_array(other):
        return NotImplemented
    array = numpy_of(other)
    try:
        factors = np.broadcast_to(array, tensor.shape)
    except ValueError:
        raise ShapeError(
            f"an array of shape {array.shape} does not broadcast to the tensor's {tensor.shape}",
            hint="d[:, None] scales rows, d columns",
        ) from None
    try:
        return _rebuilt(tensor, lambda coords, values: (coords, operation(values, factors[tuple(coords)])))
    except TypeError as error:
        raise DTypeError(f"{operation.__name__} of {tensor.dtype} and {array.dtype}: {error}") from None


def _rebuilt(tensor: SparseTensor, change: Change, what: str = "product") -> SparseTensor:
    """The tensor of changed coordinates and values of the non-zeros, in the format of ``tensor``."""
    from .sparse import SparseTensor

    coords, values = tensor.coordinates()
    kept = np.flatnonzero(values)
    coords, values = change(coords[:, kept], values[kept])
    wide = Format.coo(tensor.ndim, 64)  # coordinates of any shape
    return _stored_like(tensor, SparseTensor.from_coordinates(coords, values, tensor.shape, wide), what)


def _stored_like(tensor: SparseTensor, result: SparseTensor, what: str) -> SparseTensor:
    """``result`` in the format of ``tensor``; where it does not obey, the error says which format takes anything."""
    try:
        with in_the_words_of(tensor.hss, tensor.format):
            stored = result.to(tensor.format)
    except (FormatError, ShapeError) as error:
        hint = "use a format that holds anything: A.to(pith.CSR)"
        raise type(error)(f"the {what} does not obey the format: {error.message}", hint=hint) from None
    unfolded = tensor.dense_shape if stored.shape == tensor.shape else None
    return dataclasses.replace(stored, hss=tensor.hss, dense_shape=unfolded)


def _check_shapes(a: SparseTensor, b: SparseTensor) -> None:
    if a.shape != b.shape:
        raise ShapeError(f"sparse tensors of shapes {a.shape} and {b.shape}: sparse operands do not broadcast")


def _plus_sparse(a: SparseTensor, other: Any) -> SparseTensor:
    """Values are added where patterns are equal; else entries, and sums that are zero are dropped."""
    b = _tensor(other)
    _check_shapes(a, b)
    if a.format == b.format and all(map(np.array_equal, a.buffers[:-1], b.buffers[:-1])):
        return dataclasses.replace(a, buffers=(*a.buffers[:-1], a.values + b.values))

    def union(*mine: np.ndarray) -> list[np.ndarray]:
        return [np.concatenate(pair, axis=-1) for pair in zip(mine, b.coordinates())]

    return _rebuilt(a, union, "sum")


def _times_sparse(a: SparseTensor, other: Any) -> SparseTensor:
    """Element by element, where both have entries: SciPy's product of CSR matrices."""
    from .sparse import CSR, SparseTensor

    b = _tensor(other)
    _check_shapes(a, b)
    if a.ndim != 2:
        raise UnsupportedError("products of two sparse tensors that are no matrices", hint="A * B.to_dense()")
    left, right = (operand.to(CSR).to_scipy() for operand in (a, b))
    return _stored_like(a, SparseTensor.from_scipy(left.multiply(right).tocsr()), "product")


def _part(tensor: SparseTensor, key: Any) -> Any:
    """SciPy picks entries of a CSR matrix that numbers the values from 1; so elements may be of any type."""
    import scipy.sparse as sp

    from .sparse import CSR, SparseTensor

    if tensor.ndim != 2 or tensor.dense_shape is not None:
        raise UnsupportedError(
            f"parts of a tensor of shape {tensor.dense_shape or tensor.shape}", hint="matrices have them: A.to_dense()"
        )
    rows = tensor.to(CSR)
    positions, columns, values = rows.buffers
    try:
        picked = sp.csr_array((np.arange(1, values.size + 1), columns, positions), shape=rows.shape)[index_of(key)]
    except (IndexError, ValueError, TypeError, OverflowError) as error:
        raise CheckError(str(error), where=f"index of a {'x'.join(map(str, tensor.shape))} matrix") from None
    if not sp.issparse(picked):
        numbered, elements = np.asarray(picked), np.zeros(np.shape(picked), values.dtype)
        elements[numbered > 0] = values[numbered[numbered > 0] - 1]
        return elements[()]
    part = SparseTensor.from_scipy(picked if picked.ndim == 2 else picked.tocoo())
    part = dataclasses.replace(part, buffers=(*part.buffers[:-1], values[part.values - 1]))
    return _stored_like(tensor, part, "part") if part.ndim == 2 else part
