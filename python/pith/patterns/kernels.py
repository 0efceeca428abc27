"""Kernels that find and combine patterns: one per kind, element type and granularity, for all sizes."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from ..compiler.kernel import compile_source


@functools.cache
def detector(
    element: str,
    rank: int,
    axes: tuple[int, ...],
    granularity: tuple[int, ...],
    channel: int | None,
    deterministic: bool,
    unsigned: bool,
) -> Any:
    """``detect(x, threshold) -> coordinates``; a threshold per entry of dimension ``channel``, where there is one."""
    source, pattern = dense(rank, element), pattern_type(len(axes), granularity)
    threshold = "f64" if channel is None else "tensor<?xf64>"
    options = f"axes = {numbers(axes)}, granularity = {numbers(granularity)}"
    options += f", channel = {numbers([] if channel is None else [channel])}"
    options += ", pith.deterministic = true" * deterministic + ", pith.unsigned = true" * unsigned
    return compile_source(
        f"""func.func @detect(%x: {source}, %threshold: {threshold}) -> {pattern} {{
  %p = "pith.detect_by"(%x, %threshold) {{{options}}} : ({source}, {threshold}) -> {pattern}
  return %p : {pattern}
}}
""",
        "detect",
    ).native


@functools.cache
def sampler(element: str) -> Any:
    """``sample(x, tiles, threshold, windows) -> shares of empty micro-tiles`` of matrices."""
    types = f"{dense(2, element)}, tensor<?x2xi32>, f64, index"
    return compile_source(
        f"""func.func @sample(%x: {dense(2, element)}, %tiles: tensor<?x2xi32>, %threshold: f64, %windows: index)
    -> tensor<?xf64> {{
  %s = "pith.sample"(%x, %tiles, %threshold, %windows) : ({types}) -> tensor<?xf64>
  return %s : tensor<?xf64>
}}
""",
        "sample",
    ).native


def dense(rank: int, element: str) -> str:
    """The type of a tensor of any sizes."""
    return f"tensor<{'?x' * rank}{element}>"


def pattern_type(rank: int, granularity: Sequence[int]) -> str:
    """The type of a pattern over axes of any sizes."""
    return f"!pith.pattern<{[-1] * rank}, {list(granularity)}>"


def numbers(values: Sequence[int]) -> str:
    """An ``array<i64>`` attribute."""
    return f"array<i64: {', '.join(map(str, values))}>" if values else "array<i64>"
