"""Run the demo: prune, compile, compare, time. What comes out is data; ``report`` prints it."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..compiler.compile import compile
from ..compiler.kernel import LEVELS
from ..errors import ArgumentError, FormatError
from ..formats import Format
from ..runtime.cache import default_directory, kernel_cache
from ..runtime.cpu import cpu_name
from ..sparse import as_format
from .model import Encoder, block_of, block_weights, load_encoder, prune_blocks, require, sentences, with_blocks
from .padded import PaddedResult, run_padded
from .timing import Progress, medians

#: Layers of the model.
LAYERS = 6

#: What the embeddings must agree to with the same pruned model in torch.
REQUIRED_COSINE = 0.9999

#: Timing rounds after warm-up.
ROUNDS = 5


@dataclasses.dataclass(frozen=True)
class Options:
    """What to run.

    Attributes:
        layers: how many of the model's layers are pruned and compiled.
        format: storage of their feed-forward weights.
        threads: of torch and of pith; 0: all processors this process may use.
        ir_dir: where the IR of the first layer goes; None: into the cache directory.
        sentences: how many of the sentences, evenly picked over the lengths.
        rounds: timing rounds.
    """

    layers: int = 6
    format: str = "C1(3:4)->C0(2:4)"
    threads: int = 0
    ir_dir: str | None = None
    sentences: int = 64
    rounds: int = ROUNDS


@dataclasses.dataclass(frozen=True)
class Result:
    """What the demo found; times in milliseconds per pass over all sentences, medians over the rounds."""

    cosine_vs_torch_pruned_min: float
    cosine_vs_dense_mean: float
    ms_torch_dense: float
    ms_torch_pruned: float
    ms_pith: float
    weight_bytes_dense: int
    weight_bytes_pith: int
    ir_dir: str
    ir_files: list[str]
    layers: int
    format: str
    density: float
    sentences: int
    tokens: int
    length_min: int
    length_max: int
    threads: int
    rounds: int
    compile_s: float
    kernels_compiled: int
    kernels_from_cache: int
    padded: PaddedResult
    machine: dict[str, Any]

    @property
    def passed(self) -> bool:
        """Whether pith computes what torch computes."""
        return self.cosine_vs_torch_pruned_min > REQUIRED_COSINE and self.padded.passed


def run(options: Options, progress: Progress = lambda text: None) -> Result:
    """Run the demo.

    Args:
        progress: called with a few words before every step.

    Errors: :class:`pith.ToolError` when the ``demo`` extra is missing, :class:`pith.FormatError` and
        :class:`pith.ShapeError` for formats that do not fit the weights, :class:`pith.ArgumentError`
        for options out of range.
    """
    fmt = as_format(options.format)[0]
    _check(options, fmt)
    torch = require("torch")
    threads = options.threads or len(os.sched_getaffinity(0))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        progress("loading the model")
        texts = _pick(options.sentences)
        dense = load_encoder(texts)
        progress(f"pruning {options.layers} layers to {options.format}")
        pruned = prune_blocks(dense, options.layers, options.format)
        compiled = _compile(pruned, options, progress)
        variants = {"dense": dense, "pruned": pruned, "pith": with_blocks(pruned, compiled.blocks)}
        embeddings = {name: _say(progress, f"embedding: {name}", encoder.embed) for name, encoder in variants.items()}
        times = medians({name: encoder.embed for name, encoder in variants.items()}, options.rounds, progress)
        padded = run_padded(dense, pruned, texts, options.layers, options.format, options.rounds, progress)
    finally:
        torch.set_num_threads(before)
    return _result(options, threads, fmt, dense, compiled, embeddings, times, padded)


def _result(
    options: Options,
    threads: int,
    fmt: Format,
    dense: Encoder,
    compiled: _Compiled,
    embeddings: Mapping[str, np.ndarray],
    times: Mapping[str, float],
    padded: PaddedResult,
) -> Result:
    return Result(
        cosine_vs_torch_pruned_min=float(_cosines(embeddings["pith"], embeddings["pruned"]).min()),
        cosine_vs_dense_mean=float(_cosines(embeddings["pith"], embeddings["dense"]).mean()),
        ms_torch_dense=times["dense"],
        ms_torch_pruned=times["pruned"],
        ms_pith=times["pith"],
        weight_bytes_dense=sum(w.nbytes for layer in dense.layers[: options.layers] for w in block_weights(layer)),
        weight_bytes_pith=sum(_encoded_bytes(block) for block in compiled.blocks),
        ir_dir=str(compiled.ir_dir),
        ir_files=[p.name for i, level in enumerate(LEVELS) for p in compiled.ir_dir.glob(f"{i}-{level}.*")],
        layers=options.layers,
        format=options.format,
        density=fmt.density,
        sentences=len(dense.order),
        tokens=dense.tokens,
        length_min=min(dense.lengths),
        length_max=max(dense.lengths),
        threads=threads,
        rounds=options.rounds,
        compile_s=compiled.seconds,
        kernels_compiled=compiled.built,
        kernels_from_cache=compiled.cached,
        padded=padded,
        machine=machine(),
    )


def machine() -> dict[str, Any]:
    """What the numbers were taken on and with."""
    from .. import __version__

    return {
        "cpu": cpu_name(),
        "processors": len(os.sched_getaffinity(0)),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": require("torch").__version__,
        "pith": __version__,
    }


@dataclasses.dataclass(frozen=True)
class _Compiled:
    """The blocks as kernels, and what it took to get them."""

    blocks: Sequence[Any]
    ir_dir: pathlib.Path
    seconds: float
    built: int
    cached: int


def _compile(encoder: Encoder, options: Options, progress: Progress) -> _Compiled:
    """Compile the first block and give its code the weights of the others: they differ in nothing else."""
    torch = require("torch")
    blocks = [block_of(layer) for layer in encoder.layers[: options.layers]]
    stats = kernel_cache().stats
    hits, built = stats.hits, stats.compiled
    progress("importing and compiling layer 0")
    start = time.perf_counter()
    example = torch.randn(2, 5, encoder.model.config.hidden_size)
    shapes = {"x": {0: "batch", 1: "tokens"}}
    first = compile(blocks[0], (example,), sparsity={"*.dense.weight": options.format}, dynamic_shapes=shapes)
    kernels = [first]
    for number, block in enumerate(blocks[1:], 1):
        progress(f"packing the weights of layer {number}")
        kernels.append(first.rebind(block))
    seconds = time.perf_counter() - start
    hits, built = stats.hits - hits, stats.compiled - built
    progress("writing the IR of layer 0")
    directory = first.dump(options.ir_dir or default_directory() / "demo-ir", LEVELS)
    return _Compiled(kernels, directory.resolve(), seconds, built, hits)


def _pick(count: int) -> list[str]:
    """``count`` sentences, evenly over the file, which is sorted roughly by length."""
    texts = sentences()
    return [texts[i * len(texts) // count] for i in range(count)]


def _check(options: Options, fmt: Format) -> None:
    for value, most, what in ((options.layers, LAYERS, "layers"), (options.sentences, len(sentences()), "sentences")):
        if not 1 <= value <= most:
            raise ArgumentError(f"expects 1 to {most} {what}, got {value}", where="pith demo")
    if options.rounds < 1:
        raise ArgumentError(f"expects at least one timing round, got {options.rounds}", where="pith demo")
    if options.threads < 0:
        raise ArgumentError(f"expects a positive number of threads, got {options.threads}", where="pith demo")
    if not fmt.is_static or fmt.is_dense:
        raise FormatError(
            "expects a structured format, which weights can be pruned to",
            where=options.format,
            hint="e.g. C1(3:4)->C0(2:4) or C0(1:4)",
        )


def _cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosine of each pair of rows, in float64."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))


def _encoded_bytes(block: Any) -> int:
    """Bytes of the block's packed weights, metadata included."""
    kernel = block.kernel
    encoded = [i for i in kernel.bound if kernel.params[i].format is not None]
    return sum(buffer.nbytes for i in encoded for buffer in kernel.bound[i])


def _say(progress: Progress, text: str, action: Callable[[], Any]) -> Any:
    progress(text)
    return action()
