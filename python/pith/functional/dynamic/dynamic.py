"""``pith.dynamic``: operands whose zeros are known only at run time, and the products that follow them."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar

import numpy as np

from ...compiler.kernel import as_torch
from ...errors import ArgumentError, DTypeError, ShapeError, UnsupportedError
from ...foreign_names import INSTEAD_OF_DYNAMIC, SAME_OF_DYNAMIC, ForeignNames
from ...runtime import dtype_name
from ...runtime.arrays import as_array, is_torch
from ...sparse import SparseTensor
from ...untraced import in_parts
from .memory import key_of, last_of, recall, remember, repeat, run_again

_WHERE = "pith.matmul of a dynamic operand"

#: The threshold of a call that gives none.
_NONE = 0.0

#: Granularities with a name.
_NAMED = ("auto", "rows", "columns")


@in_parts
@dataclasses.dataclass(eq=False, slots=True)  # frozen ones take three times as long to make
class Dynamic(ForeignNames):
    """An operand whose zeros may be skipped; made by :func:`dynamic`.

    Attributes:
        value: the array or tensor.
        granularity: what zeros come in: ``(rows, columns)``, ``"rows"``, ``"columns"``, or ``"auto"``.
        threshold: magnitudes up to it count as zero.
    """

    value: Any
    granularity: Any
    threshold: float

    def __repr__(self) -> str:
        said = f"granularity={self.granularity!r}, threshold={self.threshold}"
        if self.value is None:
            return f"<pith dynamic: {said}>"
        return (
            f"<pith dynamic: {'x'.join(map(str, self.shape))} {str(self.value.dtype).removeprefix('torch.')}, {said}>"
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the operand."""
        return tuple(self.value.shape)

    SAME, INSTEAD = SAME_OF_DYNAMIC, INSTEAD_OF_DYNAMIC

    #: NumPy leaves ``array @ dynamic`` to :meth:`__rmatmul__`.
    __array_ufunc__: ClassVar[None] = None

    def __matmul__(self, other: Any) -> Any:
        """:func:`pith.matmul`."""
        return multiply_dynamic(self, other)

    def __rmatmul__(self, other: Any) -> Any:
        """:func:`pith.matmul`."""
        return multiply_dynamic(other, self)


def dynamic(x: Any = None, granularity: Any = "auto", threshold: float = _NONE) -> Dynamic:
    """Say that ``x`` may hold many zeros, different ones in every call, and that a product may skip them.

    ``pith.matmul(pith.dynamic(a), b)`` looks at a sample of ``a``, picks a micro-tile by measured times, finds the
    micro-tiles that hold anything, and multiplies those; or multiplies densely where that is predicted to be faster.
    New patterns compile nothing. :func:`pith.explain` shows the decision.

    Args:
        x: left out in ``sparsity={"*.relu": pith.dynamic(...)}`` of :func:`pith.compile`, for the
            output of a submodule; ``auto`` is ``(32, 1)`` there.
        granularity: what zeros come in. ``(32, 1)``: 32 rows of one column, ``(1, 32)``, ``(1, 1)``, ...; ``"rows"``
            and ``"columns"``: whole ones; ``"auto"`` finds out. It guides the choice and never changes the result.
        threshold: magnitudes up to it count as zero, whatever is run; NaN does not.
    Errors: :class:`pith.ArgumentError` for a negative threshold, another granularity, and what is no array;
        :class:`pith.FormatError` for a granularity below 1.

    Example:
        >>> import numpy as np, pith
        >>> a = np.zeros((2, 3), np.float32)
        >>> a[0, 2] = 2
        >>> pith.matmul(pith.dynamic(a), np.ones((3, 2), np.float32))
        array([[2., 2.],
               [0., 0.]], dtype=float32)
    """
    if type(x) is np.ndarray and type(granularity) is str and granularity in _NAMED and threshold is _NONE:
        return Dynamic(x, granularity, threshold)  # the common case
    from ...patterns.check import granularity_of, threshold_of  # products without patterns do not wait for these

    if isinstance(x, (SparseTensor, Dynamic)) or not (x is None or hasattr(x, "shape")):
        raise ArgumentError(
            f"expects a dense array, got {type(x).__name__}",
            where="pith.dynamic",
            hint="a SparseTensor goes into pith.matmul as it is",
        )
    if isinstance(granularity, str):
        if granularity not in _NAMED:
            raise ArgumentError(
                f"expects a pair of extents, 'rows', 'columns' or 'auto', got {granularity!r}",
                where="pith.dynamic: granularity",
                hint="pith.dynamic(x, granularity=(32, 1))",
            )
        return Dynamic(x, granularity, threshold_of(threshold))
    return Dynamic(x, granularity_of(granularity, 2), threshold_of(threshold))


def multiply_dynamic(a: Any, b: Any, out: Any = None, variant: str = "auto", bias: np.ndarray | None = None) -> Any:
    """:func:`pith.matmul` where ``a`` or ``b`` is :class:`Dynamic`.

    Args:
        bias: of arrays of two dimensions: a number per column of the result that is added to it.
    """
    left = isinstance(a, Dynamic)
    x, y = a.value if left else a, b.value if isinstance(b, Dynamic) else b
    if x is None or y is None:
        raise _is_missing()
    if type(x) is not np.ndarray and (getattr(x, "is_cuda", False) or getattr(y, "is_cuda", False)):
        return _on_device(a, b, out, variant)
    key = key_of(a if left else b, x, y, left) if variant == "auto" else None
    if bias is None and repeat(key, x, y, out):
        return out
    known = recall(key) if key is not None else None
    if known is not None and (done := run_again(known, x, y, out, bias)) is not None:
        return done
    from .bound import bind, run
    from .choice import choose, named

    product, shape, granularity = prepare(a, b)
    target = product.result() if out is None else _target(out, shape, product)
    if known is not None and known.ran != "dense":
        if run(product, known.choice, target, bind(product, known.choice), bias) != known.ran:
            known.left = 0
    else:
        last = last_of(key)
        choice = choose(product, granularity, last is not None) if variant == "auto" else named(product, variant)
        choice = choice if last is None else last.trials.revise(choice, last.choice)
        bound = bind(product, choice)
        ran = run(product, choice, target, bound, bias)
        if key is not None and known is None:
            again = bound if ran != "dense" and product.is_row_major else None
            remember(key, choice, ran, x.dtype, again, choice.dense(product))
    if out is not None:
        return out
    result = target.reshape(shape)
    return as_torch(result) if is_torch(x) or is_torch(y) else result


def _on_device(a: Any, b: Any, out: Any, variant: str) -> Any:
    """The same for torch tensors on a GPU."""
    from .device import dynamic_on_device

    left = isinstance(a, Dynamic)
    marked, x, y = (a, a.value, _value(b)) if left else (b, b.value, _value(a))
    _require_dense(y)
    shape = result_shape_of_dynamic(tuple(x.shape), tuple(y.shape), left)
    return dynamic_on_device(x, y, left, marked.granularity, marked.threshold, shape, out, variant)


def _require_dense(other: Any) -> None:
    if isinstance(other, SparseTensor):
        raise UnsupportedError(
            "one operand is stored sparse, the other one dynamic", where=_WHERE, hint="pass the dynamic one's .value"
        )


def prepare(a: Any, b: Any) -> tuple[Any, tuple[int, ...], Any]:
    """The product as matrices, the shape of its result, and the granularity of its sparse operand.

    Errors: those of :func:`pith.matmul`.
    """
    from .run import Product, above

    left = isinstance(a, Dynamic)
    marked, other = (a, b) if left else (b, a)
    _require_dense(other)
    x, y = (as_array(v, f"{_WHERE}: operand {n}") for n, v in ((0, _value(marked)), (1, _value(other))))
    element = dtype_name(x.dtype)
    if x.dtype != y.dtype or x.dtype.kind == "u" or element not in ("f16", "bf16", "f32", "f64", "i8"):
        raise DTypeError(
            f"expects operands of one floating-point type or of int8, got {x.dtype} and {y.dtype}",
            where=_WHERE,
            hint="convert one with .astype",
        )
    shape = result_shape_of_dynamic(x.shape, y.shape, left)
    x = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
    y = y.reshape(y.shape[0], math.prod(y.shape[1:])) if left else y.reshape(math.prod(y.shape[:-1]), y.shape[-1])
    x = above(x, marked.threshold) if marked.threshold else x
    return Product(x, y, "left" if left else "right"), shape, marked.granularity


def _value(operand: Any) -> Any:
    if not isinstance(operand, Dynamic):
        return operand
    if operand.value is None:
        raise _is_missing()
    return operand.value


def _is_missing() -> ArgumentError:
    return ArgumentError("expects an operand in pith.dynamic", where=_WHERE, hint="pith.dynamic(x)")


def result_shape_of_dynamic(x: tuple[int, ...], y: tuple[int, ...], left: bool) -> tuple[int, ...]:
    """Of the result of a product with a dynamic operand; the dense one may have one dimension, either may be batched on
    its own side."""
    a, b = (x, y) if left else (y, x)
    if len(x) < 2 or not 1 <= len(b) <= 2 or not a:
        raise ShapeError(
            f"expects a dynamic matrix and (..., K) @ (K, N) or (K,), got shapes {a} and {b}",
            where=_WHERE,
            hint="flatten the batch: one product per matrix, or pith.einsum over a pattern",
        )
    if a[-1] != b[0]:
        raise ShapeError(f"cannot multiply {a} by {b}: inner sizes differ", where=_WHERE, hint=f"{a[-1]} meets {b[0]}")
    return (*a[:-1], *b[1:])


def _target(out: Any, shape: tuple[int, ...], product: Any) -> np.ndarray:
    """The caller's memory as the matrix that is computed; operands that share it are copied first."""
    view = as_array(out, "pith.matmul: out")
    if view.shape != shape or view.dtype != product.dtype or not view.flags.c_contiguous:
        raise ShapeError(
            f"expects row-major {product.dtype} of shape {shape}, got {view.dtype} of shape {view.shape}",
            where="pith.matmul: out",
            hint="leave it out, or pass numpy.empty(shape, dtype)",
        )
    if not view.flags.writeable:
        raise ArgumentError("is read-only", where="pith.matmul: out", hint="pass a writable array")
    for name in ("x", "y"):
        operand = getattr(product, name)
        if np.may_share_memory(operand, view):
            object.__setattr__(product, name, operand.copy())
    return view.reshape(product.shape)
