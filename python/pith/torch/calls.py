"""Calls of pith's functions as one op of torch: what ``torch.compile`` and ``torch.export`` put into a graph.

``pith::call`` takes the tensors of a call, buffers of stored operands and coordinates of patterns among them, and as
text everything else (:mod:`pith.torch.call_text`). What results look like is said in :mod:`pith.torch.call_results`, so
sizes may be dynamic; the functions with a gradient, in :mod:`pith.torch.call_gradients`. In eager mode functions
marked as :func:`pith.traceable.traceable` do not come here.
"""

from __future__ import annotations

import contextlib
import contextvars
import inspect
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode, fake_tensor_tls, is_fake

from ..errors import UnsupportedError
from ..runtime.arrays import require_no_gradient
from ..runtime.whole_calls import UNTRACED
from . import call_gradients, call_results
from .call_text import DESCRIPTIONS, marked, read, write
from .ops import LIBRARY
from .stored_ops import refuse_second, runs

Tensors = Sequence[torch.Tensor]

#: Whether a module is exported to be compiled: the import takes torch's own ops.
_kept_out: contextvars.ContextVar[bool] = contextvars.ContextVar("kept_out", default=False)

LIBRARY.define("call(Tensor[] tensors, str call) -> Tensor[]", tags=torch.Tag.pt2_compliant_tag)
LIBRARY.define(
    "call_grad(Tensor[] tensors, Tensor[] results, Tensor[] grads, bool[] wants, str call) -> Tensor[]",
    tags=torch.Tag.pt2_compliant_tag,
)

#: ``call(tensors, text)``: the results of a function.
CALL = torch.ops.pith.call.default
_GRAD = torch.ops.pith.call_grad.default


def traced(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """The results of a call while torch traces, or ``UNTRACED`` where it does not, or for none of the arguments.

    Errors: those of ``function`` that can be told without values; :class:`pith.UnsupportedError` for arguments that
        are written to, and for those that no graph holds.
    """
    name = function.__name__
    if _kept_out.get() or _is_for_pith():
        return UNTRACED
    tensors: list[torch.Tensor] = []
    given = inspect.signature(function).bind(*args, **kwargs)
    text = write(function, given.args, given.kwargs, tensors)
    if not any(is_fake(t) for t in tensors):
        return UNTRACED
    if given.arguments.get("out") is not None:
        _refuse(f"{function.__module__}: {name} writes to out", "leave out=, and copy the result into place")
    if name not in call_gradients.OF:
        for argument, value in given.arguments.items():
            if isinstance(value, torch.Tensor):
                require_no_gradient(value, f"pith.{name}: {argument}")
    if _translator() is not None:
        text = marked(text, uuid.uuid4().hex)
    found = CALL(tensors, text)
    return found[0] if len(found) == 1 else tuple(found)


@contextlib.contextmanager
def kept_out() -> Iterator[None]:
    """Calls are no ops in here: what a module that is exported calls raises, as without values it cannot run.

    >>> with kept_out():
    ...     pass
    """
    token = _kept_out.set(True)
    try:
        yield
    finally:
        _kept_out.reset(token)


def _among_constants(mode: FakeTensorMode, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
    """What a call gives where tensors are fake: buffers of stored operands are constants of the graph, and are not.

    Dynamo allows that in calls that it traces, Inductor and gradients do not.
    """
    before = fake_tensor_tls.allow_non_fake_inputs_override
    fake_tensor_tls.allow_non_fake_inputs_override = True
    try:
        return mode.__torch_dispatch__(func, types, args, kwargs)
    finally:
        fake_tensor_tls.allow_non_fake_inputs_override = before


for _op in (CALL, _GRAD):
    torch.library.register_torch_dispatch(_op, FakeTensorMode, _among_constants, lib=LIBRARY)


def _translator() -> Any:
    """What Dynamo is tracing with, or None."""
    from torch._dynamo.symbolic_convert import InstructionTranslator

    try:
        return InstructionTranslator.current_tx()
    except AttributeError:
        return None


def _is_for_pith() -> bool:
    """Whether Dynamo traces for the backend ``"pith"``: its graphs are torch's ops, and end before calls."""
    translator = _translator()
    if translator is None:
        return False
    from .dynamo import backend

    compiler: Any = translator.output.compiler_fn
    while compiler is not None:
        if compiler is backend or getattr(compiler, "compiler_name", "") == "pith":
            return True
        compiler = getattr(compiler, "compiler_fn", None) or getattr(compiler, "_torchdynamo_orig_backend", None)
    return False


def _refuse(what: str, hint: str) -> None:
    if _translator() is not None:
        from torch._dynamo.exc import Unsupported

        raise Unsupported(f"{what}; {hint}")
    raise UnsupportedError(what, where="torch.export", hint=hint)


@runs(CALL)
def _run(tensors: Tensors, text: str) -> list[torch.Tensor]:
    function, args, kwargs = read(tensors, text)
    return _listed(function(*args, **kwargs))


@torch.library.register_fake(CALL, lib=LIBRARY)
def _run_fake(tensors: Tensors, text: str) -> list[torch.Tensor]:
    function, args, kwargs = read(tensors, text, DESCRIPTIONS)
    return _listed(getattr(call_results, function.__name__)(*args, **kwargs))


@runs(_GRAD)
def _grad(tensors: Tensors, results: Tensors, grads: Tensors, wants: Sequence[bool], text: str) -> list[torch.Tensor]:
    tensors = _apart(tensors)
    function, args, kwargs = read(tensors, text)
    rule = call_gradients.OF[function.__name__]
    found: dict[int, torch.Tensor] = {}
    for tensor, grad in rule(args, kwargs, results, grads, {id(t) for t, wanted in zip(tensors, wants) if wanted}):
        found[id(tensor)] = found[id(tensor)] + grad if id(tensor) in found else grad
    return [found[id(t)].contiguous() if w else t.new_empty(0) for t, w in zip(tensors, wants)]


@torch.library.register_fake(_GRAD, lib=LIBRARY)
def _grad_fake(tensors: Tensors, _: Tensors, __: Tensors, wants: Sequence[bool], text: str) -> list[torch.Tensor]:
    return [t.new_empty(t.shape if wanted else 0) for t, wanted in zip(tensors, wants)]


def _apart(tensors: Tensors) -> Tensors:
    """No tensor twice: rules go by identity, and what compiles graphs merges views that are alike into one tensor."""
    out: list[torch.Tensor] = []
    for tensor in tensors:
        out.append(tensor.detach() if any(tensor is known for known in out) else tensor)
    return out


def _listed(found: Any) -> list[torch.Tensor]:
    return list(found) if isinstance(found, tuple) else [found]


def _save(ctx: Any, inputs: Any, output: Any) -> None:
    tensors, ctx.text = inputs
    ctx.count = len(tensors)
    ctx.save_for_backward(*tensors, *output)


def _backward(ctx: Any, grads: Tensors) -> Any:
    tensors, results = ctx.saved_tensors[: ctx.count], ctx.saved_tensors[ctx.count :]
    wants = list(ctx.needs_input_grad[0])
    given = [torch.zeros_like(r) if g is None else g for g, r in zip(grads, results)]
    found = _GRAD(tensors, results, given, wants, ctx.text)
    return [g if wanted else None for g, wanted in zip(found, wants)], None


torch.library.register_autograd(CALL, _backward, setup_context=_save, lib=LIBRARY)
torch.library.register_autograd(_GRAD, refuse_second, lib=LIBRARY)
