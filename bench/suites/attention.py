"""Attention over what queries see, f32: windows with global tokens, blocks, lengths, and all of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pith
import torch
from torch.nn.functional import scaled_dot_product_attention

from bench.harness import Contest
from bench.operands import aligned, poisoned
from bench.records import Options, Progress, Report, Requirement
from bench.sweep import Sweep, plural

HEADS, DEPTH = 12, 64
#: Sequence lengths, with what is promised over SDPA with a boolean mask.
PROMISED = {1024: 3.5, 2048: 7.0, 4096: 12.0}
#: Keys to either side of a query, and global tokens.
WINDOW, TOKENS = 128, 4
#: Promised over chunks in eager torch.
OVER_CHUNKS = 1.5

PITH, SDPA, EAGER, CHUNKED = "pith.attention", "torch SDPA", "torch chunks, eager", "torch chunks, SDPA"
PACKED, PADDED, SINGLY = "pith, packed", "pith, padded", "torch, one by one"

NOTES = (
    "Times in ms, medians over the rounds; `x` is the speed-up over `torch SDPA`: with a boolean mask where queries do "
    "not see everything, else without one (its flash kernel); `is_causal` where that says it.",
    f"{HEADS} heads of {DEPTH} features ({DEPTH // 2} for ragged sentences). GF/s count two products for every pair of "
    "a query and a key it sees; what is computed beyond them counts as nothing.",
    "`torch chunks` is the standard Longformer scheme, blocks of 128 queries against three blocks of keys and the "
    "global ones, global queries apart. Its masks, and those of SDPA, are made beforehand; pith's index arrays "
    "anew in every call.",
    "Ragged: 64 sentences of 8 to 128 tokens. `torch, one by one` calls SDPA per sentence.",
)


@dataclasses.dataclass(frozen=True)
class Case:
    """Operands ``(1, heads, size, depth)`` and which pairs are seen."""

    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    mask: np.ndarray

    @classmethod
    def of(cls, mask: np.ndarray) -> Case:
        rng = np.random.default_rng(7)
        shape = (1, HEADS, mask.shape[0], DEPTH)
        return cls(*(aligned(rng.standard_normal(shape, np.float32)) for _ in range(3)), mask)

    @property
    def flops(self) -> float:
        """Of the pairs that are seen."""
        return 4.0 * DEPTH * HEADS * float(self.mask.sum())

    def tensors(self) -> list[torch.Tensor]:
        """The operands as torch's."""
        return [torch.from_numpy(x) for x in (self.q, self.k, self.v)]

    def reference(self) -> np.ndarray:
        """The result in float64, a head at a time."""
        return np.stack(
            [_softmax_times(*(x[0, h] for x in (self.q, self.k, self.v)), self.mask) for h in range(HEADS)]
        )[None]

    def pith(self, **given: Any) -> Callable[[], np.ndarray]:
        """The call that this suite is about."""
        out = poisoned(self.q.shape)
        return lambda: pith.attention(self.q, self.k, self.v, out=out, **given)

    def sdpa(self, **given: Any) -> Callable[[], torch.Tensor]:
        """Torch's own attention."""
        q, k, v = self.tensors()
        return lambda: scaled_dot_product_attention(q, k, v, **given)


def _softmax_times(q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray) -> np.ndarray:
    scores = q.astype(np.float64) @ k.T.astype(np.float64) * q.shape[1] ** -0.5
    scores = np.where(mask, scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights @ v.astype(np.float64) / weights.sum(-1, keepdims=True)


def run(options: Options, progress: Progress) -> Report:
    """Run the suite."""
    report = Report("attention", "Attention over what queries see, f32", notes=list(NOTES))
    sizes = (1024,) if options.quick else tuple(PROMISED)
    windows = Sweep(options)
    windows.run(((_window(size), {"kind": "window", "size": size}) for size in sizes), report, progress)
    Sweep(options).run(_others(sizes[:2]), report, progress)
    Sweep(options).run([(_ragged(), {"kind": "ragged"})], report, progress)
    for threads in options.threads:
        report.requirements += _requirements(windows, threads)
    return report


def _others(sizes: tuple[int, ...]) -> Iterator[tuple[Contest, dict[str, Any]]]:
    yield _blocks(sizes[0]), {"kind": "blocks", "size": sizes[0]}
    for size in sizes:
        yield _plain(size, False), {"kind": "dense", "size": size}
        yield _plain(size, True), {"kind": "causal", "size": size}


def _window(size: int) -> Contest:
    i = np.arange(size)
    tokens = np.linspace(0, size - 1, TOKENS, dtype=int)
    mask = np.abs(i[:, None] - i) <= WINDOW
    mask[tokens] = mask[:, tokens] = True
    case = Case.of(mask)
    contestants = {
        PITH: case.pith(window=WINDOW, global_tokens=tokens),
        SDPA: case.sdpa(attn_mask=torch.from_numpy(mask)),
        EAGER: Chunks(case, tokens).eager,
        CHUNKED: Chunks(case, tokens).sdpa,
    }
    return Contest(f"window {size}", contestants, SDPA, case.reference(), flops=case.flops)


class Chunks:
    """A window in blocks of queries against three blocks of keys, and global tokens (Longformer)."""

    def __init__(self, case: Case, tokens: np.ndarray):
        self.q, self.k, self.v = case.tensors()
        self.tokens = torch.from_numpy(tokens)
        self.blocks = case.q.shape[2] // WINDOW
        n = self.blocks
        near = torch.zeros(n, WINDOW, 3 * WINDOW, dtype=torch.bool)
        padded = torch.nn.functional.pad(torch.from_numpy(case.mask), (WINDOW, WINDOW))
        for b in range(n):
            near[b] = padded[b * WINDOW : (b + 1) * WINDOW, b * WINDOW : (b + 3) * WINDOW]
        hidden = torch.nn.functional.pad(torch.isin(torch.arange(n * WINDOW), self.tokens), (WINDOW, WINDOW))
        near &= ~hidden.unfold(0, 3 * WINDOW, WINDOW)[:, None]
        self.mask = torch.cat([near, torch.ones(n, WINDOW, len(tokens), dtype=torch.bool)], -1)
        self.bias = torch.zeros(self.mask.shape).masked_fill_(~self.mask, float("-inf"))

    def _near(self, x: torch.Tensor) -> torch.Tensor:
        """``(heads, blocks, 3 blocks of keys, D)``, a view of a padded copy."""
        padded = torch.nn.functional.pad(x[0], (0, 0, WINDOW, WINDOW))
        return padded.unfold(1, 3 * WINDOW, WINDOW).transpose(-1, -2)

    def _all(self, x: torch.Tensor) -> torch.Tensor:
        """Those and the global ones."""
        shared = x[0][:, self.tokens][:, None].expand(-1, self.blocks, -1, -1)
        return torch.cat([self._near(x), shared], 2)

    def _with_tokens(self, out: torch.Tensor) -> torch.Tensor:
        """Global queries, which see everything, over what blocks made of them."""
        out = out.reshape(self.q.shape)
        out[:, :, self.tokens] = scaled_dot_product_attention(self.q[:, :, self.tokens], self.k, self.v)
        return out

    def eager(self) -> torch.Tensor:
        """Two products and a softmax, the scores of a chunk in memory."""
        queries = self.q[0].unflatten(1, (self.blocks, WINDOW)) * DEPTH**-0.5
        scores = queries @ self._near(self.k).transpose(-1, -2)
        shared = queries @ self.k[0][:, self.tokens].transpose(-1, -2)[:, None]
        weights = torch.cat([scores, shared], -1).add_(self.bias).softmax(-1)
        out = weights[..., : 3 * WINDOW] @ self._near(self.v)
        out += weights[..., 3 * WINDOW :] @ self.v[0][:, self.tokens][:, None]
        return self._with_tokens(out)

    def sdpa(self) -> torch.Tensor:
        """SDPA with the mask of every chunk."""
        queries = self.q[0].unflatten(1, (self.blocks, WINDOW))
        return self._with_tokens(
            scaled_dot_product_attention(queries, self._all(self.k), self._all(self.v), attn_mask=self.mask)
        )


def _blocks(size: int, block: int = 64, share: float = 0.15) -> Contest:
    """Blocks drawn at random, as in BigBird, with the diagonal so that every query sees something."""
    cells = np.random.default_rng(3).random((size // block, size // block)) < share
    cells |= np.eye(size // block, dtype=bool)
    pattern = pith.Pattern.from_indices(np.argwhere(cells), (size, size), (block, block))
    case = Case.of(np.kron(cells, np.ones((block, block), bool)))
    contestants = {PITH: case.pith(pattern=pattern), SDPA: case.sdpa(attn_mask=torch.from_numpy(case.mask))}
    name = f"blocks {size}, {cells.mean():.0%} of 64x64"
    return Contest(name, contestants, SDPA, case.reference(), flops=case.flops)


def _plain(size: int, causal: bool) -> Contest:
    mask = np.tri(size, dtype=bool) if causal else np.ones((size, size), bool)
    case = Case.of(mask)
    contestants = {PITH: case.pith(causal=causal), SDPA: case.sdpa(is_causal=causal)}
    return Contest(f"{'causal' if causal else 'dense'} {size}", contestants, SDPA, case.reference(), flops=case.flops)


def _ragged(sentences: int = 64, longest: int = 128, depth: int = DEPTH // 2) -> Contest:
    """Results are compared packed; those of padded contestants are packed outside of the measured call."""
    rng = np.random.default_rng(5)
    lengths = rng.integers(8, longest + 1, sentences)
    packed = [aligned(rng.standard_normal((int(lengths.sum()), HEADS, depth), np.float32)) for _ in range(3)]
    used = np.arange(longest) < lengths[:, None]
    padded = [np.zeros((sentences, HEADS, longest, depth), np.float32) for _ in range(3)]
    for wide, rows in zip(padded, packed):
        wide.transpose(0, 2, 1, 3)[used] = rows
    mask = torch.from_numpy(used)[:, None, None].expand(-1, 1, longest, -1)
    q, k, v = (torch.from_numpy(x) for x in padded)
    ends = np.cumsum(lengths)
    parts = [[torch.from_numpy(x[e - n : e]).transpose(0, 1) for x in packed] for e, n in zip(ends, lengths)]
    out, wide_out = poisoned(packed[0].shape), poisoned(padded[0].shape)
    contestants = {
        PACKED: lambda: pith.attention(*packed, lengths=lengths, out=out),
        PADDED: lambda: _Packed(pith.attention(*padded, lengths=lengths, out=wide_out), used),
        SDPA: lambda: _Packed(scaled_dot_product_attention(q, k, v, attn_mask=mask), used),
        SINGLY: lambda: _Joined([scaled_dot_product_attention(*part) for part in parts]),
    }
    every = np.ones((longest, longest), bool)
    reference = np.concatenate(
        [
            np.stack([_softmax_times(*(x[e - n : e, h] for x in packed), every[:n, :n]) for h in range(HEADS)], 1)
            for e, n in zip(ends, lengths)
        ]
    )
    flops = 4.0 * depth * HEADS * float((lengths.astype(float) ** 2).sum())
    return Contest(f"ragged, {1 - used.mean():.0%} padding", contestants, SDPA, reference, flops=flops)


class _Packed:
    """A padded result, packed when it is compared."""

    def __init__(self, padded: Any, used: np.ndarray):
        self._padded, self._used = padded, used

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.asarray(np.asarray(self._padded).transpose(0, 2, 1, 3)[self._used], dtype)


class _Joined:
    """Results of sentences, joined when they are compared."""

    def __init__(self, parts: list[torch.Tensor]):
        self._parts = parts

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.concatenate([part.transpose(0, 1).numpy() for part in self._parts]).astype(dtype or np.float32)


def _requirements(sweep: Sweep, threads: int) -> Iterator[Requirement]:
    def measured(size: int, over: str) -> float | None:
        found = sweep.select(threads, kind="window", size=size)
        return found[0].speedup(PITH, over) if found else None

    for size, limit in PROMISED.items():
        text = f"window and global tokens, {size} positions, {plural(threads)}: over {{}}"
        yield Requirement(text.format("SDPA with a mask"), measured(size, SDPA), limit, "x", at_least=True)
        yield Requirement(text.format("eager chunks"), measured(size, EAGER), OVER_CHUNKS, "x", at_least=True)
