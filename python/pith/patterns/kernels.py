"""Kernels that find and combine patterns: one per kind, element type and granularity, for all sizes."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Sequence
from typing import Any

from ..compiler.kernel import compile_source


@functools.cache
def can_be_compiled() -> bool:
    """True where the compiler is installed."""
    return importlib.util.find_spec("torch_mlir") is not None


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
    """``sample(x, tiles, threshold, windows, out)``: shares of empty micro-tiles of a matrix.

    They are written to memory of the caller: a result of its own takes 4 us more.
    """
    types = f"{dense(2, element)}, tensor<?x2xi32>, f64, index"
    return compile_source(
        f"""func.func @sample(%x: {dense(2, element)}, %tiles: tensor<?x2xi32>, %threshold: f64, %windows: index,
    %out: memref<?xf64>) {{
  %s = "pith.sample"(%x, %tiles, %threshold, %windows) : ({types}) -> tensor<?xf64>
  bufferization.materialize_in_destination %s in restrict writable %out : (tensor<?xf64>, memref<?xf64>) -> ()
  return
}}
""",
        "sample",
    ).native


@functools.cache
def combiner(name: str, granularity: tuple[int, ...]) -> Any:
    """``combine(coordinates..., sizes...) -> coordinates``: ``union``, ``intersection`` or ``complement``."""
    rank, names = len(granularity), ["p", "q"][: 1 if name == "complement" else 2]
    pattern, listed = pattern_type(rank, granularity), coordinates_type(rank)
    sizes = [f"%n{axis}" for axis in range(rank)]
    params = ", ".join([f"%{n}_list: {listed}" for n in names] + [f"{size}: index" for size in sizes])
    lines = [f'  %{n} = "pith.from_coordinates"(%{n}_list) : ({listed}) -> {pattern}\n' for n in names]
    operands = ", ".join([f"%{n}" for n in names] + sizes)
    types = ", ".join([pattern] * len(names) + ["index"] * rank)
    return compile_source(
        f"""func.func @combine({params}) -> {pattern} {{
{"".join(lines)}  %r = "pith.{name}"({operands}) : ({types}) -> {pattern}
  return %r : {pattern}
}}
""",
        "combine",
    ).native


@functools.cache
def ranker(element: str, rank: int, unsigned: bool) -> Any:
    """``topk(scores, k) -> coordinates``."""
    source, pattern = dense(rank, element), pattern_type(rank, [1] * rank)
    options = " {pith.unsigned = true}" * unsigned
    return compile_source(
        f"""func.func @topk(%scores: {source}, %k: index) -> {pattern} {{
  %p = "pith.topk"(%scores, %k){options} : ({source}, index) -> {pattern}
  return %p : {pattern}
}}
""",
        "topk",
    ).native


@functools.cache
def counter(element: str, granularity: int) -> Any:
    """``from_lengths(lengths, size) -> coordinates``."""
    pattern = pattern_type(2, (1, granularity))
    return compile_source(
        f"""func.func @from_lengths(%lengths: tensor<?x{element}>, %size: index) -> {pattern} {{
  %p = "pith.from_lengths"(%lengths, %size) : (tensor<?x{element}>, index) -> {pattern}
  return %p : {pattern}
}}
""",
        "from_lengths",
    ).native


def coordinates_type(rank: int) -> str:
    """The type of the coordinates of a pattern."""
    return "tensor<?xi32>" if rank == 1 else f"tensor<?x{rank}xi32>"


def dense(rank: int, element: str) -> str:
    """The type of a tensor of any sizes."""
    return f"tensor<{'?x' * rank}{element}>"


def pattern_type(rank: int, granularity: Sequence[int]) -> str:
    """The type of a pattern over axes of any sizes."""
    return f"!pith.pattern<{[-1] * rank}, {list(granularity)}>"


def numbers(values: Sequence[int]) -> str:
    """An ``array<i64>`` attribute."""
    return f"array<i64: {', '.join(map(str, values))}>" if values else "array<i64>"
