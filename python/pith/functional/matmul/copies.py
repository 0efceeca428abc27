"""What products remember of a sparse operand: what was decided, and unpacked copies of it while they pay."""

from __future__ import annotations

import dataclasses
import math
import weakref
from collections.abc import Hashable, Sequence
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


@dataclasses.dataclass(slots=True)
class Copies:
    """Unpacked copies of the values that an operand had. Of newer values there is another object, so that what a thread
    still makes of older ones is found by nobody.

    Attributes:
        generation: of the stored values.
        dense: element type -> the unpacked operand, made by the first dense product that needs it. It
            takes rows x columns x bytes of the type.
        views: torch's views of those.
        wholes: those as tensors that store every element.
    """

    generation: int = dataclasses.field(default_factory=generation)
    dense: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    views: dict[str, Any] = dataclasses.field(default_factory=dict)
    wholes: dict[str, SparseTensor] = dataclasses.field(default_factory=dict)

    def unpacked(self, a: Any, element: str) -> np.ndarray:
        """The operand ``a``, every element of it in an element type."""
        array = self.dense.get(element)
        if array is None:
            array = self.dense[element] = _counted(a.to_dense().astype(numpy_dtype(element), copy=False))
        return array


class Products:
    """What products remember of a sparse operand; lives as long as the tensor, and is not copied with it.

    Attributes:
        plans: decided variants, by what they depend on.
        users: what was decided to multiply by copies: they go when the last one is gone.
        orders: side -> the operand in the order of the result's rows (:mod:`pith.functional.matmul.row_order`).
        address: of the stored values, once somebody asked for it: NumPy takes 1 us to say it.
    """

    __slots__ = ("_copies", "_found", "_state", "address", "orders", "plans", "users")

    def __init__(self) -> None:
        self.plans: dict[Any, Any] = {}
        self._copies = Copies()
        self.users: set[Hashable] = set()
        self.orders: dict[bool, Any] = {}
        self.address: int | None = None
        self._state: Any = None
        self._found = 0

    def __reduce__(self) -> tuple[Any, ...]:
        return Products, ()

    def __deepcopy__(self, memo: dict[int, Any]) -> Products:
        return Products()

    @property
    def dense(self) -> dict[str, np.ndarray]:
        """Element type -> the copy that there is."""
        return self._copies.dense

    def drop(self) -> None:
        """Forget the copies."""
        self._copies = Copies()

    def _current(self) -> Copies:
        """The copies of the values as they are."""
        found = self._copies
        if found.generation != generation():
            found = self._copies = Copies()
        return found

    def may_copy(self, shape: Sequence[int], element: str) -> bool:
        """Whether a copy is there, or may be made: values are those of the last call, and all copies that there are
        fit into the bytes that are for one (:data:`pith.tuning.select.MOST_DENSE_BYTES`)."""
        before, now = self._copies, self._current()
        if now is not before:
            return False
        return element in now.dense or _bytes + math.prod(shape) * ELEMENT_BYTES[element] <= MOST_DENSE_BYTES

    def settled(self, a: SparseTensor, state: Hashable) -> bool:
        """Whether values that somebody else holds, and may overwrite, have long been the same: a copy is worth making.

        Args:
            state: another one when they were written to, as far as is counted.

        Semantics: copies of others are dropped.
        """
        values = a.values
        looked_at = values[:: max(1, values.size // _LOOKED_AT)].tobytes()
        if (state, looked_at) != self._state:
            self.drop()
            self._found = 0
            self._state = state, looked_at  # last: until then, other threads do the same
        self._found += 1
        return self._found > _SETTLED

    def unpacked(self, a: Any, element: str) -> np.ndarray:
        """The dense operand of an element type."""
        return self._current().unpacked(a, element)

    def whole(self, a: SparseTensor) -> SparseTensor:
        """The operand with every element stored; making it anew takes 25 us."""
        copies, element = self._current(), dtype_name(a.values.dtype)
        tensor = copies.wholes.get(element)
        if tensor is None:
            array = copies.unpacked(a, element).reshape(-1)
            tensor = copies.wholes[element] = SparseTensor(a.shape, WHOLE, (array,))
        return tensor

    def unpacked_torch(self, a: SparseTensor, element: str) -> Any:
        """The dense operand as a torch tensor."""
        copies = self._current()
        view = copies.views.get(element)
        if view is None:
            view = copies.views[element] = torch_view(copies.unpacked(a, element))
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
