"""``pith.attention`` on a GPU: q, k and v stay where they are; what queries see is worked out here and copied there."""

from __future__ import annotations

import functools
import importlib
from typing import Any

import numpy as np

from ...compiler.compile import compile as compile_program
from ...compiler.gpu import GpuKernel
from ...errors import DTypeError, ShapeError
from ...runtime import numpy_dtype
from ...runtime.arrays import is_torch
from ...runtime.cuda import device, runs_on
from .attention import Call
from .ir import Variant
from .visibility import Limits, Visibility, scale_of, visibility

_WHERE = "pith.attention"

#: Element types with a kernel, by torch's names.
_ELEMENTS = {"torch.float16": "f16", "torch.bfloat16": "bf16", "torch.float32": "f32"}


def attention_on_device(
    q: Any,
    k: Any,
    v: Any,
    limits: Limits,
    *,
    scale: float | None = None,
    return_lse: bool = False,
    out: Any = None,
    target: str | None = None,
) -> Any:
    """:func:`pith.attention` for torch tensors on a GPU, or with ``target="emulate:sm_90"`` for arrays of the host.

    Shapes, Semantics and Errors: those of :func:`pith.attention`; f64 has no kernel. q, k and v that are not
    contiguous as ``(batch, heads, positions, features)`` are copied; lengths and global tokens are host data.
    """
    call = _call(q, k, v, limits)
    seen = visibility(call.sizes, call.packed, limits)
    kernel = kernel_for(target or _chip(q), call.variant(return_lse, seen))
    arrays = (_four_axes(x, call.packed) for x in (q, k, v))
    made = kernel(*arrays, scale_of(scale, call.depth), *_placed(q, seen))
    result, lse = made if return_lse else (made, None)
    result = _as_given(result, call, out, q)
    return (result, _as_given(lse, call, None, q)) if return_lse else result


def attention_grad_on_device(
    q: Any,
    k: Any,
    v: Any,
    grad: Any,
    lse: Any,
    delta: Any,
    limits: Limits,
    *,
    scale: float | None = None,
    target: str | None = None,
) -> tuple[Any, Any, Any]:
    """Gradients of queries, keys and values on a GPU, or with ``target="emulate:sm_90"`` of arrays of the host.

    Shapes, Semantics and Args: those of :func:`.attention_grad.attention_grad`; everything is where q is.
    """
    call, scale = _call(q, k, v, limits), scale_of(scale, q.shape[-1])
    queries, keys, values, grads = (_four_axes(x, call.packed) for x in (q, k, v, grad))
    numbers = [_four_axes(x[..., None], call.packed)[..., 0] for x in (lse, delta)]
    made = []
    for by_key in (False, True):
        seen = visibility(call.sizes, call.packed, limits, by_key)
        kernel = grad_kernel_for(target or _chip(q), call.variant(False, seen), by_key)
        sides = ((queries, grads), (keys, values))
        operands = (x for side in (sides[::-1] if by_key else sides) for x in side)
        made.append(kernel(*operands, *numbers, scale, *_placed(q, seen)))
    (dq, (dk, dv)) = made
    return tuple(_as_given(x, call, None, like) for x, like in ((dq, q), (dk, k), (dv, v)))  # type: ignore[return-value]


def _call(q: Any, k: Any, v: Any, limits: Limits) -> Call:
    operands = (_stand_in(x, name) for x, name in ((q, "q"), (k, "k"), (v, "v")))
    return Call.of(*operands, packed=limits.lengths is not None)


def _placed(q: Any, seen: Visibility) -> list[Any]:
    """What a kernel is told of who sees whom, in its order, where ``q`` is."""
    intervals, tokens, reach = (None if a is None else _beside(q, a) for a in (seen.intervals, seen.tokens, seen.reach))
    return [x for x in (intervals, seen.pattern, tokens, reach) if x is not None]


@functools.cache
def kernel_for(target: str, variant: Variant) -> GpuKernel:
    """The kernel of a variant; all sizes but the head sizes are arguments."""
    return compile_program(variant.device_source(), target=target)


@functools.cache
def grad_kernel_for(target: str, variant: Variant, of_keys: bool) -> GpuKernel:
    """The same for the gradient of queries, or of keys and values."""
    return compile_program(variant.device_grad_source(of_keys), target=target)


def _chip(q: Any) -> str:
    """The newest known architecture whose code the device of ``q`` executes."""
    from ...lowering.targets import CHIPS

    capability = device(q.device.index or 0).capability
    return [chip for chip in CHIPS if chip[-1].isdigit() and runs_on(chip, capability)][-1]


def _stand_in(x: Any, name: str) -> np.ndarray:
    """An array of the shape and type of ``x`` for checks, whose elements nobody looks at."""
    where = f"{_WHERE}: {name}"
    if not is_torch(x):
        dtype = np.asarray(x).dtype
    elif str(x.dtype) in _ELEMENTS:
        dtype = numpy_dtype(_ELEMENTS[str(x.dtype)])
    else:
        hint = "convert to one of " + ", ".join(_ELEMENTS)
        raise DTypeError(f"no attention kernel for {x.dtype} on a GPU", where=where, hint=hint)
    shape = tuple(map(int, x.shape))
    strides = [dtype.itemsize]
    for size in shape[:0:-1]:
        strides.insert(0, strides[0] * max(size, 1))
    one = np.empty(1, dtype)
    return np.lib.stride_tricks.as_strided(one, shape, strides[: len(shape)] if shape else ())


def _four_axes(x: Any, packed: bool) -> Any:
    """``(batch, heads, positions, features)``, contiguous; of torch or NumPy alike."""
    if packed:
        x = x.swapaxes(0, 1)[None]
    elif x.ndim < 4:
        x = x[(None,) * (4 - x.ndim)]
    elif x.ndim > 4:
        x = x.reshape(-1, *x.shape[-3:])
    return x.contiguous() if is_torch(x) else np.ascontiguousarray(x)


def _beside(q: Any, indices: np.ndarray) -> Any:
    """Index arrays where ``q`` is: copied to its device once."""
    if not is_torch(q) or q.device.type == "cpu":
        return indices
    return _uploaded(indices.tobytes(), indices.shape, str(q.device))


@functools.lru_cache(maxsize=64)
def _uploaded(content: bytes, shape: tuple[int, ...], place: str) -> Any:
    torch = importlib.import_module("torch")
    return torch.from_numpy(np.frombuffer(content, np.int32).reshape(shape).copy()).to(place)


def _as_given(result: Any, call: Call, out: Any, like: Any) -> Any:
    """Results or logarithms, ``(batch, heads, positions, ...)``, in the layout of operand ``like``, or in ``out``."""
    lead = tuple(like.shape)[:-1]
    result = result[0].swapaxes(0, 1) if call.packed else result.reshape(*lead, *result.shape[3:])
    if out is None:
        return result
    if tuple(out.shape) != tuple(result.shape):
        raise ShapeError(f"the result has shape {tuple(result.shape)}, got {tuple(out.shape)}", where=f"{_WHERE}: out")
    if out.dtype != result.dtype:
        raise DTypeError(f"expects {result.dtype}, got {out.dtype}", where=f"{_WHERE}: out")
    out[...] = result
    return out
