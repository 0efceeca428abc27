"""The demo's result as text and as JSON."""

from __future__ import annotations

import dataclasses
import json
import shlex

from .measure import REQUIRED_COSINE, Result
from .padded import REQUIRED_ERROR, PaddedResult


def to_json(result: Result) -> str:
    """One JSON object."""
    fields = {**dataclasses.asdict(result), "passed": result.passed}
    fields["padded"]["waste"] = result.padded.waste
    return json.dumps(fields)


def to_text(result: Result) -> str:
    """The report ``pith demo`` prints."""
    sections = [
        _head(result),
        _correctness(result),
        _times(result),
        _padded(result.padded),
        _weights(result),
        _compilation(result),
        _ir(result),
    ]
    return "\n\n".join("\n".join(lines) for lines in sections) + "\n"


def _head(r: Result) -> list[str]:
    layers = f"{r.layers} layer{'s' if r.layers > 1 else ''}"
    return [
        f"MiniLM-L6 sentence encoder, feed-forward weights of {layers} pruned to {r.format}",
        f"  {r.sentences} sentences of {r.length_min} to {r.length_max} tokens, {r.tokens} tokens in all",
        f"  {r.machine['cpu']}, {r.threads} of {r.machine['processors']} processors, "
        f"torch {r.machine['torch']}, pith {r.machine['pith']}",
    ]


def _correctness(r: Result) -> list[str]:
    verdict = "ok" if r.passed else "WRONG"
    return [
        "Embeddings",
        f"  cosine to the same pruned model in torch   {r.cosine_vs_torch_pruned_min:.8f}   least; {verdict}, "
        f"must be above {REQUIRED_COSINE}",
        f"  cosine to the dense model                  {r.cosine_vs_dense_mean:.8f}   mean; pruned in one shot, "
        "not trained again",
    ]


def _times(r: Result) -> list[str]:
    rows = (("torch, dense", r.ms_torch_dense), ("torch, pruned", r.ms_torch_pruned), ("pith, pruned", r.ms_pith))
    lines = [f"Time for all sentences, median of {r.rounds} interleaved rounds"]
    lines += [f"  {name:<14} {ms:9.1f} ms   {r.ms_torch_dense / ms:.2f}x dense torch" for name, ms in rows]
    return [*lines, f"  {_speed(r)}", f"  {_noise(r)}"]


def _speed(r: Result) -> str:
    """Who is faster, in plain words."""
    ratio = r.ms_pith / r.ms_torch_dense
    if ratio > 1:
        return f"pith is slower than dense torch here: it takes {100 * (ratio - 1):.0f} % more time."
    return f"pith takes {100 * (1 - ratio):.0f} % less time than dense torch; attention, the same in both, is included."


def _noise(r: Result) -> str:
    """Dense and pruned torch run the same code on as many numbers: what they differ by, they differ by chance."""
    spread = max(r.ms_torch_dense, r.ms_torch_pruned) / min(r.ms_torch_dense, r.ms_torch_pruned) - 1
    verdict = "; less than that says nothing" if abs(r.ms_pith / r.ms_torch_dense - 1) < spread else ""
    return f"Noise: torch's two runs do the same work and differ by {100 * spread:.0f} %{verdict}."


def _padded(p: PaddedResult) -> list[str]:
    rows = (
        ("torch", p.ms_torch_padded),
        ("torch, one sentence at a time", p.ms_torch_single),
        ("pith, without the padding", p.ms_pith),
        ("pith, without it and pruned", p.ms_pith_pruned),
    )
    verdict = "ok" if p.passed else "WRONG"
    return [
        f"All sentences as one batch padded to {p.size} tokens: {100 * p.waste:.0f} % of it is padding",
        f"  relative difference of embeddings to torch: {p.relative_error:.1e} dense, {p.relative_error_pruned:.1e} "
        f"pruned; {verdict}, must be at most {REQUIRED_ERROR:g}",
        *(f"  {name:<30} {ms:9.1f} ms   {p.ms_torch_padded / ms:.2f}x padded torch" for name, ms in rows),
        f"  median of {p.rounds} interleaved rounds; import and compilation {p.compile_s:.2f} s, whatever the lengths",
    ]


def _weights(r: Result) -> list[str]:
    ratio = r.weight_bytes_dense / r.weight_bytes_pith
    return [
        "Feed-forward weights",
        f"  dense {r.weight_bytes_dense / 1e6:.2f} MB, pith {r.weight_bytes_pith / 1e6:.2f} MB with metadata: "
        f"{ratio:.2f}x smaller, {100 * r.density:.3g} % of the elements",
    ]


def _compilation(r: Result) -> list[str]:
    origin = "from the kernel cache" if r.kernels_from_cache else "compiled now"
    shared = f", its code shared by all {r.layers}" if r.layers > 1 else ""
    return ["Import and compilation", f"  {r.compile_s:.2f} s for {r.layers} block(s): one kernel {origin}{shared}"]


def _ir(r: Result) -> list[str]:
    file = shlex.quote(f"{r.ir_dir}/1-linalg.mlir")
    return [
        f"IR of layer 0 in {r.ir_dir}",
        f"  {'  '.join(r.ir_files)}",
        "  edit a level and feed it back:",
        f"  pith-opt --pass-pipeline='builtin.module(linalg-to-vector,vector-to-llvm)' {file}",
    ]
