"""The demo's second half: all sentences as one padded batch, which pith computes without the padding."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .model import Encoder, tokenise
from .timing import Progress, medians

#: Where sentences are cut off: 62 % of the batch of all 64 is padding then, as in ragged batches of the
#: literature (at the model's own limit it is 80 %).
MAX_TOKENS = 96

#: What the embeddings must agree to with torch's, as ||out - ref|| / ||ref||.
REQUIRED_ERROR = 1e-5

#: Timing rounds at most: every one passes the padded batch through torch.
ROUNDS = 3


@dataclasses.dataclass(frozen=True)
class PaddedResult:
    """What came out; times in milliseconds per pass over all sentences, medians over the rounds.

    Attributes:
        size: positions per sentence; ``tokens`` of all of them are no padding.
        relative_error: of the embeddings to torch's on the padded batch; ``relative_error_pruned``: of those of the
            pruned model to the same model in torch.
        ms_torch_single: torch fed one sentence at a time.
        compile_s: importing and compiling the dense model, checks included.
    """

    sentences: int
    size: int
    tokens: int
    relative_error: float
    relative_error_pruned: float
    ms_torch_padded: float
    ms_torch_single: float
    ms_pith: float
    ms_pith_pruned: float
    compile_s: float
    rounds: int

    @property
    def waste(self) -> float:
        """Share of the batch that is padding."""
        return 1 - self.tokens / (self.sentences * self.size)

    @property
    def passed(self) -> bool:
        """Whether pith computes what torch computes."""
        return self.relative_error <= REQUIRED_ERROR and self.relative_error_pruned <= REQUIRED_ERROR


def run_padded(
    dense: Encoder, pruned: Encoder, texts: Sequence[str], layers: int, fmt: str, rounds: int, progress: Progress
) -> PaddedResult:
    """Compile both models for packed tokens, compare and time.

    Args:
        pruned: the feed-forward weights of its first ``layers`` layers obey ``fmt``.
        rounds: timing rounds, at most :data:`ROUNDS` are run.
    """
    from ..torch import unpad

    padded, single = (dense.on(*tokenise(texts, size, MAX_TOKENS)) for size in (len(texts), 1))
    progress("importing and compiling a layer for packed tokens")
    start = time.perf_counter()
    plain = unpad(dense.model)
    seconds = time.perf_counter() - start
    progress("the same with pruned weights")
    sparse = unpad(pruned.model, sparsity=_weights(layers, fmt))
    variants: dict[str, Callable[[], np.ndarray]] = {
        "padded": padded.embed,
        "single": single.embed,
        "pith": lambda: _embed(plain, padded),
        "pruned": lambda: _embed(sparse, padded),
    }
    progress("embedding the padded batch")
    found = {name: run() for name, run in variants.items()}
    reference = dataclasses.replace(padded, model=pruned.model).embed()
    rounds = min(rounds, ROUNDS)
    times = medians(variants, rounds, progress)
    return PaddedResult(
        sentences=len(padded.order),
        size=int(padded.batches[0]["input_ids"].shape[1]),
        tokens=padded.tokens,
        relative_error=_difference(found["pith"], found["padded"]),
        relative_error_pruned=_difference(found["pruned"], reference),
        ms_torch_padded=times["padded"],
        ms_torch_single=times["single"],
        ms_pith=times["pith"],
        ms_pith_pruned=times["pruned"],
        compile_s=seconds,
        rounds=rounds,
    )


def _weights(layers: int, fmt: str) -> dict[str, str]:
    names = ("intermediate.dense.weight", "output.dense.weight")
    return {f"encoder.layer.{i}.{name}": fmt for i in range(layers) for name in names}


def _embed(model: Any, encoder: Encoder) -> np.ndarray:
    """Unit-length embeddings in input order, as :meth:`Encoder.embed`."""
    import torch

    with torch.inference_mode():
        rows = torch.nn.functional.normalize(model(**encoder.batches[0], pool="mean"), dim=1).numpy()
    return encoder.in_input_order(rows)


def _difference(out: np.ndarray, reference: np.ndarray) -> float:
    exact = reference.astype(np.float64)
    return float(np.linalg.norm(out - exact) / np.linalg.norm(exact))
