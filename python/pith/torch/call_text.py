"""A call of one of pith's functions as tensors and a line of text, and back."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import json
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils.weak import WeakTensorKeyDictionary

from ..errors import UnsupportedError
from ..functional.dynamic.dynamic import Dynamic
from ..patterns import Pattern
from ..quantization import QuantizedTensor
from ..sparse import SparseTensor
from ..sparse_interop import numpy_of, torch_of_numpy
from .autograd.stored import buffer_state, is_quantized, stored, stored_shape, stored_today, text_of

#: Coordinates -> (their state, the pattern).
_patterns: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


def write(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], tensors: list[torch.Tensor]
) -> str:
    """A call as text; what it takes as tensors is added to ``tensors``.

    Errors: :class:`pith.UnsupportedError` for an argument that is neither an array nor plain data.

    >>> import pith
    >>> write(pith.linear, (torch.ones(1, 4), np.eye(4)), {"activation": "relu"}, [])
    '["pith.functional.linear.linear:linear", [{"tensor": 0}, {"array": 1}], {"dict": {"activation": "relu"}}]'
    """
    said = _said([list(args), dict(kwargs)], tensors)
    return json.dumps([f"{function.__module__}:{function.__name__}", *said])


def read(
    tensors: Sequence[torch.Tensor], text: str, meaning: Meaning | None = None
) -> tuple[Callable[..., Any], list[Any], dict[str, Any]]:
    """The function of a call and its arguments, or what another ``meaning`` makes of these."""
    name, args, kwargs, *_ = _parsed(text)
    meant = meaning or VALUES
    return _function(name), _meant(args, tensors, meant), _meant(kwargs, tensors, meant)


def marked(text: str, mark: str) -> str:
    """The same call, in another text: Inductor keeps compiled graphs on disk, whose constants are copies of the buffers
    that :func:`pith.repack` overwrites, and finds them by the text.

    >>> marked('["f", [], {}]', "1")
    '["f", [], {}, "1"]'
    """
    return json.dumps([*json.loads(text), mark])


@functools.lru_cache(maxsize=1024)
def _parsed(text: str) -> Any:
    return json.loads(text)


@functools.cache
def _function(name: str) -> Callable[..., Any]:
    """The function behind one that is marked as traceable."""
    module, _, attribute = name.partition(":")
    found = getattr(importlib.import_module(module), attribute) if module.startswith("pith.") else None
    function = getattr(found, "__wrapped__", None)
    if function is None:
        raise UnsupportedError(f"there is no call of {name!r} in graphs", where="torch.ops.pith.call")
    return function


def _said(value: Any, tensors: list[torch.Tensor]) -> Any:
    """``value`` as JSON."""
    if value is None or isinstance(value, str | bool | float):
        return value
    if isinstance(value, list):
        return [_said(v, tensors) for v in value]
    if isinstance(value, dict):
        return {"dict": {name: _said(v, tensors) for name, v in value.items()}}
    if isinstance(value, tuple):
        return {"tuple": [_said(v, tensors) for v in value]}
    if isinstance(value, torch.Tensor):
        return {"tensor": _placed(value, tensors)}
    if isinstance(value, np.ndarray):
        return {"array": _placed(_constant(value), tensors)}
    if isinstance(value, SparseTensor | QuantizedTensor):
        parts = [*value.buffers, *_scales(value)]
        return {"stored": text_of(value), "buffers": [_placed(_constant(b), tensors) for b in parts]}
    if isinstance(value, Pattern):
        where = _placed(_constant(value.coordinates), tensors)
        return {"pattern": [value.sizes, value.granularity], "coordinates": where}
    if isinstance(value, Dynamic):
        return {"dynamic": _said([value.value, value.granularity, value.threshold], tensors)}
    try:
        return operator.index(value)  # a number of torch's or NumPy's, too: sizes that are arguments are fixed
    except TypeError:
        raise UnsupportedError(
            f"graphs of torch hold no {type(value).__name__}",
            where="torch.compile, torch.export",
            hint="pass torch tensors, pith.SparseTensor, pith.Pattern, numbers and texts; or call it outside",
        ) from None


def _meant(said: Any, tensors: Sequence[torch.Tensor], meaning: Meaning) -> Any:
    """What :func:`_said` was given."""
    if isinstance(said, list):
        return [_meant(v, tensors, meaning) for v in said]
    if not isinstance(said, dict):
        return said
    kind, what = next(iter(said.items()))
    if kind == "tensor":
        return tensors[what]
    if kind == "array":
        return meaning.array(tensors[what])
    if kind == "stored":
        return meaning.stored([tensors[i] for i in said["buffers"]], what)
    if kind == "pattern":
        return meaning.pattern(tensors[said["coordinates"]], *map(tuple, what))
    if kind == "dict":
        return {name: _meant(v, tensors, meaning) for name, v in what.items()}
    parts = _meant(what, tensors, meaning)
    return Dynamic(*parts) if kind == "dynamic" else tuple(parts)


def _placed(tensor: torch.Tensor, tensors: list[torch.Tensor]) -> int:
    """The place of a tensor among those of the call."""
    for i, known in enumerate(tensors):
        if known is tensor:
            return i
    tensors.append(tensor)
    return len(tensors) - 1


def _constant(array: np.ndarray) -> torch.Tensor:
    """A tensor on the memory of an array, real also where torch makes fake ones; integers as torch has them."""
    if array.dtype.kind == "u" and array.itemsize > 1:
        array = array.view(f"i{array.itemsize}")
    with _disable_current_modes():
        return torch_of_numpy(array if array.flags.writeable else array.copy())


def _scales(q: SparseTensor | QuantizedTensor) -> list[np.ndarray]:
    if isinstance(q, SparseTensor):
        return []
    return [q.scales] if q.zero_points is None else [q.scales, q.zero_points]


@dataclasses.dataclass(frozen=True)
class Meaning:
    """What the parts of a call are that are tensors in graphs only.

    Attributes:
        array, stored, pattern: of a tensor; of buffers and their text; of coordinates, sizes and granularity.
    """

    array: Callable[[torch.Tensor], Any]
    stored: Callable[[Sequence[torch.Tensor], str], Any]
    pattern: Callable[[torch.Tensor, tuple[int, ...], tuple[int, ...]], Any]


@dataclasses.dataclass(frozen=True)
class Stored:
    """A stored operand without its values: sizes, the type of what is stored, and whether that is quantised."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    quantized: bool

    @property
    def T(self) -> Stored:
        """The transpose."""
        return dataclasses.replace(self, shape=self.shape[::-1])


def _stored(buffers: Sequence[torch.Tensor], text: str) -> SparseTensor | QuantizedTensor:
    return stored(buffers, text) if is_quantized(text) else stored_today(buffers, text)


def _pattern(coordinates: torch.Tensor, sizes: tuple[int, ...], granularity: tuple[int, ...]) -> Pattern:
    """The pattern, checked once for a tensor."""
    state = (sizes, granularity, *buffer_state(coordinates))
    known = _patterns.get(coordinates)
    if known is None or known[0] != state:
        known = _patterns[coordinates] = state, Pattern(sizes, granularity, numpy_of(coordinates))
    return known[1]


def _described(buffers: Sequence[torch.Tensor], text: str) -> Stored:
    return Stored(stored_shape(text), buffers[-1].dtype, is_quantized(text))


#: The arguments themselves, and what of them is known without values.
VALUES = Meaning(numpy_of, _stored, _pattern)
DESCRIPTIONS = Meaning(lambda array: array, _described, lambda _, sizes, granularity: (sizes, granularity))
