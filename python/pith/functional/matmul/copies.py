"""What products remember of a sparse operand: what was decided, and unpacked copies of it while they pay."""

from __future__ import annotations

import math
import weakref
from collections.abc import Hashable
from typing import Any

import numpy as np

from ...formats import Format
from ...generation import generation
from ...runtime import dtype_name, numpy_dtype
from ...sparse import SparseTensor
from ...tuning.problem import ELEMENT_BYTES
from ...tuning.select import MOST_DENSE_BYTES

#: Element types NumPy has no name of its own for, as the integers torch reads them from.
_TORCH_BITS = {"bfloat16": np.int16}

#: Matrices that store every element, row by row; making the format takes 20 us.
WHOLE = Format.dense(2)

#: Calls in a row that have to find the same values before a copy of values that somebody else holds is made: it takes
#: about four calls of two rows (1024x1024 f32 in 2:4: 0.5 ms, a call 0.1 in place of 0.2; one core of Zen 4, 2026-11).
_SETTLED = 8

#: So many of the values that somebody else holds are looked at in every call: writes through ``tensor.data`` count
#: nowhere.
_LOOKED_AT = 16

#: Bytes of all copies there are.
_bytes = 0


class Products:
    """What products remember of a sparse operand; lives as long as the tensor, and is not copied with it.

    Attributes:
        plans: decided variants, by what they depend on.
        dense: element type -> the unpacked operand, made by the first dense product that needs it. It
            takes rows x columns x bytes of the type.
        views: torch's views of those.
        wholes: those as tensors that store every element.
        users: what was decided to multiply by copies: they go when the last one is gone.
        generation: of stored values, when ``dense`` was made.
        orders: side -> the operand in the order of the result's rows (:mod:`pith.functional.matmul.row_order`).
        address: of the stored values, once somebody asked for it: NumPy takes 1 us to say it.
    """

    __slots__ = ("_found", "_state", "address", "dense", "generation", "orders", "plans", "users", "views", "wholes")

    def __init__(self) -> None:
        self.generation = generation()
        self.plans: dict[Any, Any] = {}
        self.dense: dict[str, np.ndarray] = {}
        self.views: dict[str, Any] = {}
        self.wholes: dict[str, SparseTensor] = {}
        self.users: set[Hashable] = set()
        self.orders: dict[bool, Any] = {}
        self.address: int | None = None
        self._state: Any = None
        self._found = 0

    def __reduce__(self) -> tuple[Any, ...]:
        return Products, ()

    def __deepcopy__(self, memo: dict[int, Any]) -> Products:
        return Products()

    def drop(self) -> None:
        """Forget the copies."""
        self.dense.clear()
        self.wholes.clear()
        self.views.clear()

    def _drop_what_is_stale(self) -> bool:
        stale = self.generation != generation()
        if stale:
            self.generation = generation()
            self.drop()
        return stale

    def may_copy(self, a: SparseTensor) -> bool:
        """Whether a copy is there, or may be made: values are those of the last call, and all copies that there are
        fit into the bytes that are for one (:data:`pith.tuning.select.MOST_DENSE_BYTES`)."""
        if self._drop_what_is_stale():
            return False
        element = dtype_name(a.values.dtype)
        return element in self.dense or _bytes + math.prod(a.shape) * ELEMENT_BYTES[element] <= MOST_DENSE_BYTES

    def settled(self, a: SparseTensor, state: Hashable) -> bool:
        """Whether values that somebody else holds, and may overwrite, have long been the same: a copy is worth making.

        Args:
            state: another one when they were written to, as far as is counted.

        Semantics: copies of others are dropped.
        """
        values = a.values
        looked_at = values[:: max(1, values.size // _LOOKED_AT)].tobytes()
        if (state, looked_at) != self._state:
            self._state, self._found = (state, looked_at), 0
            self.drop()
        self._found += 1
        return self._found > _SETTLED

    def unpacked(self, a: SparseTensor, element: str) -> np.ndarray:
        """The dense operand of an element type."""
        self._drop_what_is_stale()
        array = self.dense.get(element)
        if array is None:
            array = self.dense[element] = _counted(a.to_dense().astype(numpy_dtype(element), copy=False))
        return array

    def whole(self, a: SparseTensor) -> SparseTensor:
        """The operand with every element stored; making it anew takes 25 us."""
        self._drop_what_is_stale()
        element = dtype_name(a.values.dtype)
        tensor = self.wholes.get(element)
        if tensor is None:
            array = self.unpacked(a, element).reshape(-1)
            tensor = self.wholes[element] = SparseTensor(a.shape, WHOLE, (array,))
        return tensor

    def unpacked_torch(self, a: SparseTensor, element: str) -> Any:
        """The dense operand as a torch tensor."""
        self._drop_what_is_stale()
        view = self.views.get(element)
        if view is None:
            view = self.views[element] = torch_view(self.unpacked(a, element))
        return view


def products_of(a: SparseTensor) -> Products:
    """What is remembered of ``a``."""
    found = a.__dict__.get("_products")
    if found is None:
        found = a.__dict__["_products"] = Products()
    return found


def _counted(copy: np.ndarray) -> np.ndarray:
    """A copy, whose bytes count until it is gone."""
    _count(copy.nbytes)
    weakref.finalize(copy, _count, -copy.nbytes).atexit = False
    return copy


def _count(size: int) -> None:
    global _bytes
    _bytes += size


def torch_view(array: np.ndarray) -> Any:
    """A tensor over an array; over a copy of one that torch cannot look at (read-only, odd strides)."""
    import torch

    if array.dtype.kind == "V":
        return torch_view(array.view(_TORCH_BITS[array.dtype.name])).view(torch.bfloat16)
    flags = array.flags
    plain = flags.c_contiguous or all(stride > 0 and not stride % array.itemsize for stride in array.strides)
    return torch.from_numpy(array if plain and flags.writeable else array.copy())
