"""The peers: what else computes a case, prepared outside of the timing the way its users would prepare it."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import torch

from .peers_table import BSR, CUBLAS, CUSPARSE, CUSPARSELT, CUTLASS, FLEX, GROUPED, LOOP, READ, SDPA, TRITON_BSR
from .problems import Problem

#: Launch parameters tried for the block-sparse kernel of torch, which has none tuned for Hopper.
_TRITON_META = tuple(
    {"GROUP_SIZE_ROW": group, "num_stages": stages, "num_warps": warps, "SPLIT_N": split}
    for group in (4,)
    for stages in (3, 4)
    for warps in (4, 8)
    for split in (32, 64)
)

#: Makes the call of a peer; raises whatever torch raises where it has no kernel for the problem.
Maker = Callable[[Problem], Callable[[], torch.Tensor]]


def peer(name: str, problem: Problem) -> Callable[[], torch.Tensor]:
    """The call of a peer.

    Errors: those of the library; a peer that does not run is a row of the report.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # prototypes say so at every use
        return _PEERS[name](problem)


def _cublas(p: Problem) -> Callable[[], torch.Tensor]:
    a, b = p.parts["a"], p.parts["b"]
    if a.dtype == torch.int8:
        return lambda: torch._int_mm(a, b)  # pyright: ignore[reportPrivateImportUsage]
    out = torch.empty(a.shape[0], b.shape[1], dtype=a.dtype, device=a.device)
    return lambda: torch.matmul(a, b, out=out)


def _cusparse(p: Problem) -> Callable[[], torch.Tensor]:
    if "s" in p.parts:
        s = p.parts["s"].to_sparse_csr()
        return lambda: torch.sparse.sampled_addmm(s, p.parts["a"], p.parts["b"]).values()
    a, b = p.parts["a"].to_sparse_csr(), p.parts["b"]
    return lambda: a @ b


def _bsr(p: Problem) -> Callable[[], torch.Tensor]:
    a, b = p.parts["a"].to_sparse_bsr(tuple(p.parts["block"])), p.parts["b"]
    return lambda: a @ b


def _triton_bsr(p: Problem) -> Callable[[], torch.Tensor]:
    """The fastest of a few launch parameters, found before the race."""
    from torch.sparse._triton_ops import bsr_dense_addmm

    a, b = p.parts["a"].to_sparse_bsr(tuple(p.parts["block"])), p.parts["b"]
    out = torch.empty(a.shape[0], b.shape[1], dtype=b.dtype, device=b.device)
    calls = [functools.partial(bsr_dense_addmm, out, a, b, beta=0, out=out, meta=dict(m)) for m in _TRITON_META]
    timed = [(seconds, i) for i, call in enumerate(calls) if (seconds := _quick(call)) is not None]
    return calls[min(timed)[1]] if timed else functools.partial(bsr_dense_addmm, out, a, b, beta=0, out=out)


def _quick(call: Callable[[], Any]) -> float | None:
    """Milliseconds of one call; None where it does not run."""
    try:
        call()
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        call()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end)
    except Exception:  # parameters that the compiler of the peer refuses
        return None


def _semi_structured(kind: str) -> Maker:
    def make(p: Problem) -> Callable[[], torch.Tensor]:
        from torch.sparse import semi_structured

        a, b = getattr(semi_structured, kind).from_dense(p.parts["a"]), p.parts["b"]
        return lambda: a @ b

    return make


def _grouped(p: Problem) -> Callable[[], torch.Tensor]:
    """Tokens sorted by expert, one grouped product, results put back: all that routing costs."""
    x, w, experts = p.parts["x"], p.parts["w"], p.parts["e"]
    n_experts = w.shape[0]
    product = getattr(torch.nn.functional, "grouped_mm", None) or torch._grouped_mm  # pyright: ignore
    ends = torch.arange(1, n_experts + 1, device=x.device, dtype=torch.int32)
    try:
        product(x, w, offs=ends)
    except RuntimeError:  # versions that take weights in the other order only
        w = w.transpose(1, 2).contiguous().transpose(1, 2)
    out = torch.empty(x.shape[0], w.shape[2], dtype=x.dtype, device=x.device)
    numbers = torch.arange(n_experts, device=x.device, dtype=experts.dtype)

    def call() -> torch.Tensor:
        sorted_, order = torch.sort(experts)
        ends = torch.searchsorted(sorted_, numbers, right=True).to(torch.int32)
        out[order] = product(x[order], w, offs=ends)
        return out

    return call


def _loop(p: Problem) -> Callable[[], torch.Tensor]:
    """What models without a grouped product do; it waits for the device once per expert."""
    x, w, experts = p.parts["x"], p.parts["w"], p.parts["e"]
    out = torch.empty(x.shape[0], w.shape[2], dtype=x.dtype, device=x.device)

    def call() -> torch.Tensor:
        for e in range(w.shape[0]):
            rows = (experts == e).nonzero()[:, 0]
            out[rows] = x[rows] @ w[e]
        return out

    return call


def _flex(p: Problem) -> Callable[[], torch.Tensor]:
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    q, k, v, begin, end = (p.parts[n] for n in ("q", "k", "v", "begin", "end"))

    def sees(batch: Any, head: Any, i: Any, j: Any) -> Any:
        return (j >= begin[i]) & (j < end[i])

    mask = create_block_mask(sees, None, None, q.shape[2], k.shape[2], device=str(q.device))
    compiled = torch.compile(flex_attention)
    return lambda: compiled(q, k, v, block_mask=mask)


def _sdpa(p: Problem) -> Callable[[], torch.Tensor]:
    attend = torch.nn.functional.scaled_dot_product_attention
    q, k, v, begin, end = (p.parts[n] for n in ("q", "k", "v", "begin", "end"))
    if p.parts["kind"] == "causal":
        return lambda: attend(q, k, v, is_causal=True)
    at = torch.arange(k.shape[2], device=q.device)
    mask = (at[None, :] >= begin[:, None]) & (at[None, :] < end[:, None])
    return lambda: attend(q, k, v, attn_mask=mask)


def _read(p: Problem) -> Callable[[], torch.Tensor]:
    """A copy of half of the operand: it moves as many bytes as reading all of it once."""
    flat = p.parts["a"].view(-1)
    half = flat[: flat.numel() // 2]
    out = torch.empty_like(half)
    return lambda: out.copy_(half)


_PEERS: dict[str, Maker] = {
    CUBLAS: _cublas,
    CUSPARSE: _cusparse,
    BSR: _bsr,
    TRITON_BSR: _triton_bsr,
    CUSPARSELT: _semi_structured("SparseSemiStructuredTensorCUSPARSELT"),
    CUTLASS: _semi_structured("SparseSemiStructuredTensorCUTLASS"),
    GROUPED: _grouped,
    LOOP: _loop,
    FLEX: _flex,
    SDPA: _sdpa,
    READ: _read,
}

#: Peers whose result is not the case's: they are not checked.
UNCHECKED = frozenset({READ})

#: Peers that wait for the device within a call.
WAITING = frozenset({LOOP})
