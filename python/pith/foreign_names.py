"""Names that SciPy, NumPy and torch have for what pith's arrays do: they work, or the error says what to write.

A class lists them in two tables and inherits :class:`ForeignNames`; nothing is looked up for names that it has.
"""

from __future__ import annotations

import dataclasses
import math
import operator
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from .errors import ArgumentError, DTypeError, MissingNameError, ShapeError

if TYPE_CHECKING:
    from .sparse import SparseTensor

Names = Mapping[str, Callable[[Any], Any]]


class ForeignNames:
    """A class that knows other libraries' names for its attributes.

    Attributes:
        SAME: name -> the attribute, made from the object.
        INSTEAD: name -> what to write instead.

    Errors:  :class:`pith.MissingNameError` (an ``AttributeError``) for names of ``INSTEAD``; a plain one for others.

    Example:
        >>> class Box(ForeignNames):
        ...     SAME = {"numel": lambda box: lambda: 3}
        ...     INSTEAD = {"max": "max(box.items)"}
        >>> Box().numel()
        3
        >>> Box().max
        Traceback (most recent call last):
        ...
        pith.errors.MissingNameError: a Box has no 'max'
          hint: max(box.items)
    """

    __slots__ = ()
    SAME: ClassVar[Names] = {}
    INSTEAD: ClassVar[Mapping[str, str]] = {}

    if not TYPE_CHECKING:  # checkers go on finding misspelt names

        def __getattr__(self, name: str) -> Any:
            if name in self.SAME:
                return self.SAME[name](self)
            kind = type(self).__name__
            if name in self.INSTEAD:
                raise MissingNameError(f"a {kind} has no {name!r}", hint=self.INSTEAD[name])
            raise AttributeError(f"{kind!r} object has no attribute {name!r}", name=name, obj=self)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.SAME})


def _refused(what: str, hint: str) -> Callable[..., Any]:
    """An operator that is an error."""

    def operator_of(self: Any, *operands: Any) -> Any:
        raise ArgumentError(what, hint=hint)

    return operator_of


_SCIPY = "A.to(pith.CSR).to_scipy()"
_ORDER = _refused("where zeros compare true, the result is not sparse", f"{_SCIPY} > x, or A.to_dense() > x")
_WHOLE = _refused("sparse tensors have no // and %", f"pith.compress({_SCIPY} // n, fmt), or A.to_dense() // n")


class RefusedOperators(ForeignNames):
    """Operators of arrays whose results would not be sparse, or not be clear: the error says what to write.

    Errors:  :class:`pith.ArgumentError` (a ``TypeError``); :class:`pith.DTypeError` where NumPy wants a dense array.

    Example:
        >>> import numpy as np, pith
        >>> pith.compress(np.eye(2), "csr") > 0
        Traceback (most recent call last):
        ...
        pith.errors.ArgumentError: where zeros compare true, the result is not sparse
          hint: A.to(pith.CSR).to_scipy() > x, or A.to_dense() > x
    """

    __slots__ = ()

    #: NumPy leaves ``array * tensor`` and ``array @ tensor`` to the tensor's methods instead of converting it.
    __array_ufunc__ = None

    #: Row by row every step would search all entries.
    __iter__ = None

    __lt__ = __le__ = __gt__ = __ge__ = _ORDER
    __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = _WHOLE
    __bool__ = _refused("a SparseTensor is neither true nor false", "A.nnz > 0, or A is not None")
    __len__ = _refused("the length of a SparseTensor is ambiguous", "A.shape[0], A.nnz; an array: A.to_dense()")
    __rtruediv__ = _refused("a quotient by a sparse tensor divides by its zeros", "x / A.to_dense()")
    __rpow__ = _refused("a power with a sparse exponent leaves no zeros", "x ** A.to_dense()")
    __setitem__ = _refused(
        "a SparseTensor never changes", "pith.repack(A, w) takes new values, pith.compress(w, fmt) a new pattern"
    )

    def __array__(self, *args: Any, **options: Any) -> np.ndarray:
        """Nothing makes the dense array by itself: NumPy would wrap the tensor in an array of objects."""
        hint = f"A.to_dense(); for products: pith.matmul(B, A); for functions of SciPy: {_SCIPY}"
        raise DTypeError("a SparseTensor is no dense array", hint=hint)


def _converter(fmt: str) -> Callable[[Any], Any]:
    """``A.tocsr(copy=...)``: a copy is never needed, since tensors do not change."""
    return lambda tensor: lambda copy=False: tensor.to(fmt)


def _in_blocks(tensor: SparseTensor) -> Any:
    def tobsr(blocksize: Any = None, copy: bool = False) -> SparseTensor:
        if blocksize is None:
            raise ArgumentError("expects the size of blocks", where="tobsr", hint="A.tobsr((4, 4))")
        return tensor.to(f"bsr({blocksize[0]}x{blocksize[1]})")

    return tobsr


def _copied(tensor: SparseTensor) -> Any:
    return lambda: dataclasses.replace(tensor, buffers=tuple(b.copy() for b in tensor.buffers))


def _nonzero(tensor: SparseTensor) -> Any:
    """Coordinates in row-major order, as NumPy lists them."""

    def nonzero() -> tuple[np.ndarray, ...]:
        coords, values = tensor.coordinates()
        flat = np.sort(np.ravel_multi_index(tuple(coords[:, values != 0]), tensor.shape))
        return tuple(np.unravel_index(flat, tensor.dense_shape or tensor.shape))

    return nonzero


def _diagonal(tensor: SparseTensor) -> Any:
    def diagonal(k: int = 0) -> np.ndarray:
        if tensor.ndim != 2:
            raise ShapeError(f"expects a matrix, got shape {tensor.shape}", where="diagonal")
        rows, columns = tensor.shape
        coords, values = tensor.coordinates()
        on = (coords[1] - coords[0] == k) & (values != 0)
        out = np.zeros(max(0, min(rows + min(k, 0), columns - max(k, 0))), values.dtype)
        out[coords[0 if k > 0 else 1, on]] = values[on]
        return out

    return diagonal


_BY_SCIPY = "max min mean argmax argmin maximum minimum sqrt sign floor ceil rint trunc sin tan".split()
_BY_SCIPY += "arctan log1p expm1 conj conjugate real imag trace tolil todok nanmax nanmin".split()
_BY_SCIPY += "arcsin arcsinh arctanh sinh tanh deg2rad rad2deg".split()
_IN_PLACE = "setdiag eliminate_zeros sum_duplicates sort_indices resize prune add_ mul_ zero_".split()

#: What works on a :class:`pith.SparseTensor` A beside its own names.
SAME_OF_TENSORS: Names = {
    **dict.fromkeys(("dot", "matmul", "mm", "mv"), lambda A: A.__matmul__),
    **dict.fromkeys(("multiply", "mul"), lambda A: A.__mul__),
    **{f"to{fmt}": _converter(fmt) for fmt in ("csr", "csc", "coo", "dia")},
    **{f"to_sparse_{fmt}": _converter(fmt) for fmt in ("csr", "csc", "coo")},
    **dict.fromkeys(("tobsr", "to_sparse_bsr"), _in_blocks),
    "asformat": lambda A: A.to,
    **dict.fromkeys(("copy", "clone"), _copied),
    **dict.fromkeys(("transpose", "t"), lambda A: lambda: A.T),
    "nonzero": _nonzero,
    "diagonal": _diagonal,
    "abs": lambda A: A.__abs__,
    **dict.fromkeys(("power", "pow"), lambda A: A.__pow__),
    **dict.fromkeys(("matvec", "matmat"), lambda A: A.__matmul__),  # what SciPy's iterative solvers call
    **dict.fromkeys(("rmatvec", "rmatmat"), lambda A: A.T.__matmul__),
    "numel": lambda A: lambda: math.prod(A.shape),
    "dim": lambda A: lambda: A.ndim,
    "coalesce": lambda A: lambda: A,
}

#: What to write instead of what does not.
INSTEAD_OF_TENSORS: Mapping[str, str] = {
    **{name: f"{_SCIPY}.{name}(...); a matrix stored as CSR is not copied" for name in _BY_SCIPY},
    **{name: f"a SparseTensor never changes; pith.compress({_SCIPY}, fmt) takes SciPy's back" for name in _IN_PLACE},
    **{name: f"{_SCIPY}.{name}; A.buffers are those of A.format, values last" for name in ("indptr", "indices")},
    **{name: f"A.to(pith.CSR).to_torch().{name}()" for name in ("crow_indices", "col_indices")},
    **dict.fromkeys(("row", "col", "coords"), "A.coordinates() are (coordinates, values) of what is stored"),
    "data": "A.values are the stored values",
    **dict.fromkeys(("norm", "frobenius"), "np.linalg.norm(A.values); others: scipy.sparse.linalg.norm(A.to_scipy())"),
    **dict.fromkeys(("solve", "spsolve", "inv", "det"), f"scipy.sparse.linalg.spsolve({_SCIPY}, b); cg(A, b) takes A"),
    **dict.fromkeys(
        ("has_sorted_indices", "has_canonical_format", "sorted_indices", "check_format"),
        "coordinates of a SparseTensor are sorted and distinct: A.validate() checks them",
    ),
    "size": "A.shape; A.nse stored elements (SciPy's size), A.numel() in all (NumPy's size)",
    **dict.fromkeys(("getnnz", "count_nonzero"), "A.nnz; per row: np.bincount(A.nonzero()[0], minlength=A.shape[0])"),
    **dict.fromkeys(("std", "var"), "np.std(A.to_dense())"),
    **dict.fromkeys(("A", "numpy", "tolist", "flatten"), "A.to_dense() is the NumPy array"),
    "H": "A.T of real elements",
    **dict.fromkeys(("reshape", "view", "unsqueeze", "squeeze"), "A.to_dense() can be reshaped"),
    **dict.fromkeys(
        ("float", "half", "double", "bfloat16", "int", "long", "type"), "A.astype(np.float32), or another type"
    ),
    **dict.fromkeys(("add", "sub", "div"), "A + B, A - B, A / number"),
    **dict.fromkeys(("getrow", "getcol", "item"), "A[i], A[:, j], A[i, j]"),
    **dict.fromkeys(("cuda", "cpu", "device"), "a SparseTensor is on the host: pith.matmul(A, x) follows x to its GPU"),
    **dict.fromkeys(("requires_grad", "grad", "backward", "requires_grad_"), "pith.torch has layers with gradients"),
}

#: The same of a :class:`pith.Pattern` p.
INSTEAD_OF_PATTERNS: Mapping[str, str] = {
    "shape": "p.sizes counts elements, p.grid micro-tiles",
    "ndim": "p.rank",
    **dict.fromkeys(("nnz", "size", "sum", "count_nonzero", "numel"), "p.count micro-tiles, p.indices() elements"),
    **dict.fromkeys(
        ("toarray", "to_dense", "todense", "numpy", "to_mask"), "p.mask() is True for the listed micro-tiles"
    ),
    **dict.fromkeys(("nonzero", "coords", "row", "col"), "p.indices() names elements, p.coordinates micro-tiles"),
    **dict.fromkeys(("any", "all"), "p.count > 0, p.density == 1"),
    **dict.fromkeys(("union", "intersection", "complement", "difference"), "p | q, p & q, ~p, p & ~q"),
    **dict.fromkeys(("sort", "sort_indices"), "p.sorted()"),
    **dict.fromkeys(("reshape", "view", "ravel"), "p.flatten(), p.coarsen(granularity)"),
    **dict.fromkeys(("cuda", "cpu", "to", "device"), "p.coordinates is an array on the host"),
}

_TYPES = "to half float double bfloat16 type cuda cpu to_empty"
_STATE = "parameters named_parameters buffers named_buffers state_dict load_state_dict modules named_modules children"

#: The same of a compiled module k, an inference of the module that it came from.
SAME_OF_MODULES: Names = {"forward": lambda k: k.__call__, "eval": lambda k: lambda: k}
INSTEAD_OF_MODULES: Mapping[str, str] = {
    **dict.fromkeys(_TYPES.split(), "a kernel has the types of its program: pith.compile(module.to(...), args)"),
    **dict.fromkeys(_STATE.split(), "weights are the module's, as they were: change them there, then k.rebind(module)"),
    **dict.fromkeys(
        ("train", "requires_grad_", "zero_grad"), "kernels infer: pith.torch.sparsify_ makes layers that train"
    ),
}

#: The same of a :class:`pith.QuantizedTensor` q.
SAME_OF_QUANTIZED: Names = {
    **dict.fromkeys(("dot", "mm", "mv"), lambda q: q.__matmul__),
    **dict.fromkeys(("transpose", "t"), lambda q: lambda: q.T),
}
INSTEAD_OF_QUANTIZED: Mapping[str, str] = {
    **dict.fromkeys(("to_dense", "toarray", "todense", "numpy"), "q.dequantize().to_dense() is the f32 array"),
    **dict.fromkeys(("to", "astype", "tocsr", "float"), "q.dequantize() is a SparseTensor of f32, which converts"),
    **dict.fromkeys(("values", "data", "int_repr"), "q.integers, and q.scales"),
    **dict.fromkeys(("nnz", "nse", "size", "numel"), "q.count stored integers; q.shape"),
    **dict.fromkeys(("dtype", "ndim"), "q.bits of an integer; q.shape has two dimensions"),
    **dict.fromkeys(("scale", "q_scale", "q_per_channel_scales"), "q.scales"),
    **dict.fromkeys(("zero_point", "q_zero_point"), "q.zero_points, None with a scale per row"),
    "validate": "q.dequantize().validate(): what goes together is checked when q is made",
}

#: The same of a :class:`pith.Ragged` r.
INSTEAD_OF_RAGGED: Mapping[str, str] = {
    **dict.fromkeys(("shape", "dtype", "ndim", "device", "size"), "r.data is the array of all tokens; r.lengths"),
    **dict.fromkeys(("mean", "sum", "max", "min"), "r.data is the array of all tokens; [s.mean(0) for s in r]"),
    **dict.fromkeys(("values", "tensor"), "r.data is the array of all tokens"),
    **dict.fromkeys(("unbind", "tolist", "to_list"), "list(r): its sequences"),
    **dict.fromkeys(("to_padded_tensor", "to_tensor", "to_dense", "numpy"), "r.to_padded() has zeros behind sequences"),
    **dict.fromkeys(("relu", "silu", "dropout", "to", "float", "half", "cpu", "cuda"), "r.with_data(f(r.data))"),
    **dict.fromkeys(("row_splits", "row_lengths", "nested_row_splits"), "r.offsets, r.lengths"),
}

_OF_ARRAYS = "T t mT transpose sum mean max min abs any all nnz nonzero copy clone reshape view astype item".split()
_OF_ARRAYS += "numpy toarray to_dense todense tolist dot mm size numel data device cpu cuda to detach".split()

#: The same of a :class:`pith.functional.dynamic.dynamic.Dynamic` d.
SAME_OF_DYNAMIC: Names = {name: operator.attrgetter(f"value.{name}") for name in ("dtype", "ndim")}
INSTEAD_OF_DYNAMIC: Mapping[str, str] = dict.fromkeys(_OF_ARRAYS, "d.value is the array; d @ x multiplies")
