"""Rectangular pieces of tensors: cut them out, copy or add them into place.

Every copy is a ``linalg.generic`` on slices, so one-shot bufferization does it in place and no
pass has to recognise a gather.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from pith._mlir import ir, tensor
from pith.passes.generic import elementwise, filled

from ..builder import Index, zero_of
from ..numbers import plus


@dataclasses.dataclass(frozen=True)
class Span:
    """``size`` elements of one dimension from ``offset`` on."""

    offset: Index
    size: Index


def cut(source: ir.Value, spans: Sequence[Span]) -> ir.Value:
    """``tensor.extract_slice`` of ``source``; sizes known now stay in the type."""
    offsets, sizes = _split([s.offset for s in spans]), _split([s.size for s in spans])
    ones = [1] * len(spans)
    return tensor.extract_slice(piece_type(source, spans), source, offsets[1], sizes[1], [], offsets[0], sizes[0], ones)


def piece_type(source: ir.Value, spans: Sequence[Span]) -> ir.RankedTensorType:
    """Type of the piece ``spans`` of ``source``."""
    return ir.RankedTensorType.get(_split([s.size for s in spans])[0], source.type.element_type)


def paste(part: ir.Value, dest: ir.Value, spans: Sequence[Span]) -> ir.Value:
    """``tensor.insert_slice`` of ``part`` into ``dest``."""
    offsets, sizes = _split([s.offset for s in spans]), _split([s.size for s in spans])
    ones = [1] * len(spans)
    return tensor.insert_slice(part, dest, offsets[1], sizes[1], [], offsets[0], sizes[0], ones)


def store(part: ir.Value, dest: ir.Value, spans: Sequence[Span], accumulate: bool = False) -> ir.Value:
    """``dest`` with the piece ``spans`` replaced by ``part``, or with ``part`` added to it."""
    stored = elementwise([part], cut(dest, spans), lambda new, old: plus(new, old) if accumulate else new)
    return paste(stored, dest, spans)


def zeros(sizes: Sequence[Index], element: ir.Type) -> ir.Value:
    """A new tensor of zeros."""
    empty = tensor.EmptyOp(list(sizes), element).result
    return filled(empty, zero_of(element))


def _split(values: Sequence[Index]) -> tuple[list[int], list[ir.Value]]:
    """Static values with a marker where an SSA value stands, and those SSA values."""
    dynamic = ir.ShapedType.get_dynamic_size()
    return [v if isinstance(v, int) else dynamic for v in values], [v for v in values if not isinstance(v, int)]
