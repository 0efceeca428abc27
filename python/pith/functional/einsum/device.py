"""``pith.einsum`` on a GPU: the same nests and tiles, as programs of :func:`pith.compile`."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...compiler.gpu import GpuKernel
from ...errors import ArgumentError, DeviceError, DTypeError, UnsupportedError
from ...patterns import Pattern
from ...patterns.device import ELEMENTS
from ...runtime.arrays import is_torch
from ...runtime.cuda import chip_of
from .arguments import WHERE, listed_axes, require_epilogue, require_out
from .equation import Equation, extents, parse
from .ir import ADDED, FRESH, SUMS, Program, bias_of, finish_body, operands_of, sums_body, tiled
from .kernel import require_invariant
from .nest import Listed, nest_of
from .text import fill, pattern_type, tensor_type, zero, zeros


@dataclasses.dataclass(frozen=True)
class DeviceProgram(Program):
    """One program: sums over what the patterns name, then what follows them, on all of the result.

    Attributes:
        given: whether there is an array for the result; it is written in place where nothing follows the sums.
    """

    given: bool = False

    @property
    def sums(self) -> str:
        """Type of the sums in IR. Tensor cores add 16-bit elements up in f32 whatever it says, and round once."""
        whole = self.bias is self.activation is None and not (self.scaled or self.nest.contracting)
        return self.element if whole and "f" in self.element else super().sums

    def source(self) -> str:
        """IR with dynamic shapes: operands, patterns, bias, scale, and the array for the result."""
        result = tensor_type(len(self.nest.result), self.stored)
        taken = [(f"a{i}", f"operand {i}", tensor_type(len(o), self.element)) for i, o in enumerate(self.nest.inputs)]
        taken += [(f"p{i}", f"pattern {i}", pattern_type(listed)) for i, listed in enumerate(self.nest.patterns)]
        taken += [("bias", "bias", tensor_type(1, self.stored))] if self.bias else []
        taken += [("scale", "scale", self.sums)] if self.scaled else []
        listed = [f'%{name}: {type_} {{pith.name = "{said}"}}' for name, said, type_ in taken]
        listed += [f'%dst: {result} {{bufferization.writable = true, pith.name = "out"}}'] * self.given
        made = "" if self.given else self._room(result)
        return f"""func.func @einsum({", ".join(listed)}) -> {result} {{
  %zero = arith.constant {zero(self.sums)} : {self.sums}
  %nothing = arith.constant {zero(self.stored)} : {self.stored}
{made}{self._body(result)}  return %res : {result}
}}
"""

    def _room(self, result: str) -> str:
        """``%dst``: a new tensor."""
        lines = ""
        for d in self.nest.result:
            operand, axis = next((i, o.index(d)) for i, o in enumerate(self.nest.inputs) if d in o)
            whole = tensor_type(len(self.nest.inputs[operand]), self.element)
            lines += f"  %i_{d} = arith.constant {axis} : index\n"
            lines += f"  %n_{d} = tensor.dim %a{operand}, %i_{d} : {whole}\n"
        return f"{lines}  %dst = tensor.empty({', '.join(f'%n_{d}' for d in self.nest.result)}) : {result}\n"

    def _body(self, result: str) -> str:
        """From the operands and ``%dst`` to ``%res``."""
        if self.plain:
            start = "" if self.into == ADDED else fill(self.stored, "dst", result, "cleared", "nothing")
            init = "dst" if self.into == ADDED else "cleared"
            return start + tiled(self, self.nest, operands_of(self), init, "res", self.stored, sums_body(self))
        made = zeros("dst", result, self.sums, "wide")
        made += tiled(self, self.nest, operands_of(self), "wide", "sums", self.sums, sums_body(self))
        whole = dataclasses.replace(self.nest.over_result(), patterns=())
        operands = [("sums", self.sums, self.nest.result), *bias_of(self)]
        return made + tiled(self, whole, operands, "dst", "res", self.stored, finish_body(self))


def einsum_on_device(
    equation: str,
    operands: Sequence[Any],
    where: Mapping[str, Pattern],
    bias: Any = None,
    activation: str | None = None,
    scale: float | None = None,
    out: Any = None,
    accumulate: bool = False,
    target: str | None = None,
) -> Any:
    """:func:`pith.einsum` of torch tensors on a GPU, or with ``target="emulate:sm_90"`` of arrays of the host.

    Semantics: those of :func:`pith.einsum`; patterns are host data, copied to the device once.
    Errors: those of :func:`pith.einsum`; :class:`pith.UnsupportedError` for a bias, or ``out`` that keeps elements,
        where a pattern says which places of the result are computed; :class:`pith.PassError` for what is no product
        of two operands under a pattern, and for element types without a kernel.
    """
    parsed = parse(equation, tuple(len(x.shape) for x in operands))
    sizes = extents(parsed, [x.shape for x in operands])
    listed = listed_axes(parsed, sizes, where)
    element = _element([*operands, *([bias] if bias is not None else [])])
    require_epilogue(parsed, sizes, element, bias, activation, scale)
    require_out(out, tuple(sizes[c] for c in parsed.result), element, accumulate)
    _require_kernel(parsed, where, bias, out, accumulate)
    target = target or chip_of(operands[0])
    views = [_row_major(x, letters) for x, letters in zip(operands, parsed.inputs)]
    along = parsed.result[-1] if bias is not None else None
    key = (tuple(v[1] for v in views), parsed.result, along, listed, element, ADDED if accumulate else FRESH)
    kernel = _kernel(*key, activation, scale is not None, out is not None, target)
    extras = [x for x in (bias, None if scale is None else float(scale), out) if x is not None]
    made = kernel(*(v[0] for v in views), *where.values(), *extras)
    if out is None or made is out:
        return made
    out[...] = made
    return out


@functools.lru_cache(maxsize=256)
def _kernel(
    inputs: tuple[str, ...],
    result: str,
    bias: str | None,
    listed: tuple[Listed, ...],
    element: str,
    into: str,
    activation: str | None,
    scaled: bool,
    given: bool,
    target: str,
) -> GpuKernel:
    """The kernels for operands whose letters stand in the order of their dimensions in memory."""
    from ...compiler.compile import compile as compile_program

    nest, letters = nest_of(inputs, result, listed)
    require_invariant(nest, letters, WHERE)
    along = next((d for d, c in letters.items() if c == bias), None)
    program = DeviceProgram(nest, element, into, along, activation, scaled, given=given)
    return compile_program(program.source(), target=target)


def _element(arrays: Sequence[Any]) -> str:
    """The element type that all have, on one device."""
    names = [str(a.dtype).removeprefix("torch.") for a in arrays]
    if len(set(names)) > 1:
        raise DTypeError(f"expects operands of one element type, got {', '.join(names)}", where=WHERE)
    places = sorted({str(getattr(a, "device", "cpu")) for a in arrays})
    if len(places) > 1:
        raise DeviceError(f"expects all operands on one device, got {' and '.join(places)}", where=WHERE)
    if any(getattr(a, "requires_grad", False) for a in arrays):
        hint = "pass tensor.detach()"
        raise ArgumentError("a tensor requires a gradient, which a kernel does not compute", where=WHERE, hint=hint)
    element = ELEMENTS.get(names[0])
    if element not in SUMS or names[0].startswith("u"):
        raise DTypeError(f"no kernel for {names[0]}", where=WHERE, hint="convert to one of " + ", ".join(SUMS))
    return element


def _require_kernel(equation: Equation, where: Mapping[str, Pattern], bias: Any, out: Any, accumulate: bool) -> None:
    """Refuse what no kernel does at the places of a pattern."""
    if not any(all(c in equation.result for c in letters) for letters in where):
        return
    if bias is not None:
        raise UnsupportedError(
            "a bias at the places of a pattern has no GPU kernel", where=WHERE, hint="add it to the result"
        )
    if out is not None and not accumulate:
        raise UnsupportedError(
            "writing to the places of a pattern alone has no GPU kernel",
            where=WHERE,
            hint="leave out= away: other places are zero; or accumulate=True",
        )


def _row_major(array: Any, letters: str) -> tuple[Any, str]:
    """A row-major view of an array whose dimensions stand in another order in memory, and their letters; or a copy."""
    if not is_torch(array):
        return np.ascontiguousarray(array), letters
    array = array.detach()
    order = sorted(range(array.dim()), key=lambda d: -array.stride(d))
    permuted = array.permute(order)
    if math.prod(array.shape) and permuted.is_contiguous():
        return permuted, "".join(letters[d] for d in order)
    return array.contiguous(), letters
