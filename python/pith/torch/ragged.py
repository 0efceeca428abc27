"""``pith.torch.unpad``: an encoder on padded batches that computes nothing for the padding."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Mapping
from typing import Any

import torch

from ..errors import ArgumentError, CheckError, DTypeError, ImportProgramError, ShapeError, ToolError, UnsupportedError
from ..formats import Format
from ..workloads.ragged import Ragged
from .interval_attention import attention, intervals_of
from .names import Stored, assign_formats
from .quantized_arguments import as_rounded
from .regions import CompiledLayer, compile_layers

#: The name of :func:`_attend` in transformers' registry of attention implementations.
_IMPLEMENTATION = "pith_ragged"

#: Lengths of the sequences that layers are compiled and checked with: two batches that differ in every size.
_EXAMPLES = ((2, 3), (4, 1, 3))

#: What attention functions of transformers may be given that changes what they compute.
_OTHER_ATTENTION = ("sliding_window", "softcap", "s_aux", "head_mask", "position_bias", "block_mask")


#: Inputs of ids, and how models name the table they are looked up in.
_TABLES = {"input_ids": "word_embeddings", "token_type_ids": "token_type_embeddings"}


def unpad(model: torch.nn.Module, *, sparsity: Mapping[str, object] | None = None, first_position: int = 0) -> Unpadded:
    """Compile an encoder of the package transformers for batches whose padding is taken out.

    Tokens of all sequences are packed one behind the other; linear layers, norms and activations run on
    those alone, attention within each sequence. The repeated layers run as pith kernels that share their code;
    embeddings stay with torch.

    Args:
        model: in ``eval()`` mode; stays as it is, and shares its parameters with the result.
        sparsity: name pattern -> format of parameters in the layers, which must obey it (:func:`pith.prune`), or
            :class:`pith.Quantized`.
        first_position: position id of the first token of a sequence; RoBERTa counts from ``pad_token_id + 1``.

    Returns: a callable on padded batches, see :class:`Unpadded`. It is compared with ``model`` on a small batch.
    Errors: :class:`pith.UnsupportedError` for models without exchangeable attention, for attention that is
        causal, masked otherwise or biased by position, and when the small batch comes out different;
        :class:`pith.ImportProgramError` and :class:`pith.FormatError` as :func:`pith.compile`.
    Source: variable-length packing as in FlashAttention's ``cu_seqlens`` and PIT (SOSP 2023).
    Example: see :class:`Unpadded`.
    """
    _require_encoder(model)
    packed: Any = copy.deepcopy(model, {id(t): t for t in (*model.parameters(), *model.buffers())})
    _register()
    packed.set_attn_implementation(_IMPLEMENTATION)
    formats = _formats(model, sparsity)
    made = Unpadded(packed, {}, first_position)
    with torch.no_grad():
        layers = compile_layers(packed, [lambda n=n: made.states(*_example(model, n)) for n in _EXAMPLES], formats)
        _require_all_used(formats, layers)
        made = Unpadded(packed, layers, first_position)
        _require_equal(made, model, formats)
    return made


class Unpadded:
    """An encoder on padded batches without the work for padding; made by :func:`unpad`.

    Attributes:
        model: the model on packed tokens, its layers compiled.
        layers: the compiled layers by name; each has a ``kernel`` (``ir``, ``explain``).

    Shapes: input_ids, attention_mask and other inputs: ``(batch, size)``; result: ``(batch, size, hidden)``, or
        ``(batch, hidden)`` when pooled.
    Semantics: the model's last hidden states, zeros where padding is. ``pool="mean"`` is the mean over each sequence's
        tokens (zeros for none), ``pool="first"`` its first token. Padding is on the right; without an
        ``attention_mask`` there is none. A batch of other sizes or lengths compiles nothing.
    Errors: :class:`pith.ArgumentError` for a mask of other values than 0 and 1, padding that is not at the end,
        batches without a token, and inputs that are no tensors; :class:`pith.ShapeError` for those of another shape
        and more tokens than the model has positions; :class:`pith.CheckError` for ids outside of the vocabulary.

    Example:
        >>> from transformers import BertConfig, BertModel
        >>> config = BertConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
        >>> model = BertModel(config).eval()
        >>> fast = unpad(model)
        >>> ids, mask = torch.tensor([[7, 8, 9], [5, 0, 0]]), torch.tensor([[1, 1, 1], [1, 0, 0]])
        >>> with torch.inference_mode():
        ...     expected = model(ids, mask).last_hidden_state
        >>> torch.allclose(fast(ids, mask)[mask == 1], expected[mask == 1], atol=1e-5)
        True
    """

    def __init__(self, model: torch.nn.Module, layers: Mapping[str, CompiledLayer], first_position: int):
        self.model = model
        self.layers = dict(layers)
        self._first = first_position

    def __repr__(self) -> str:
        return f"<pith unpadded {type(self.model).__name__}: {len(self.layers)} compiled layers>"

    def __call__(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        *,
        pool: str | None = None,
        **inputs: torch.Tensor,
    ) -> torch.Tensor:
        if pool not in (None, "mean", "first"):
            raise ArgumentError(f"expects None, 'mean' or 'first', got {pool!r}", where="pool")
        states = self.states(input_ids, attention_mask, **inputs)
        with torch.inference_mode():
            if pool is None:
                return states.to_padded(input_ids.shape[1])
            return _pooled(states, pool)

    def states(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **inputs: torch.Tensor
    ) -> Ragged:
        """The last hidden states of the tokens alone, as a :class:`pith.Ragged` batch."""
        given = {"input_ids": input_ids, "attention_mask": attention_mask, **inputs}
        for name, x in given.items():
            if not isinstance(x, torch.Tensor) and not (name == "attention_mask" and x is None):
                raise ArgumentError(f"expects a tensor, got {type(x).__name__}", where=name)
        lengths = _lengths(input_ids, attention_mask)
        packed = {name: _packed(name, x, input_ids, lengths) for name, x in {"input_ids": input_ids, **inputs}.items()}
        self._require_known(packed, lengths)
        with torch.inference_mode() if self.layers else torch.no_grad():
            intervals = intervals_of(lengths)
            positions = torch.arange(intervals.shape[1]) - intervals[0, :, 0] + self._first
            out = self.model(**packed, position_ids=positions.unsqueeze(0), pith_intervals=intervals)
        states = getattr(out, "last_hidden_state", None)
        if states is None:
            raise UnsupportedError(
                f"returns {type(out).__name__}, which has no last_hidden_state",
                where=type(self.model).__name__,
                hint="unpad the encoder inside it, e.g. model.base_model",
            )
        return Ragged(states[0], lengths.numpy())

    def _require_known(self, packed: Mapping[str, torch.Tensor], lengths: torch.Tensor) -> None:
        """Ids and positions of the tokens lie in the model's tables, where it has such."""
        for name, table in _TABLES.items():
            size = _entries(self.model, table)
            if name not in packed or size is None:
                continue
            ids = packed[name]
            if ids.dtype not in (torch.int32, torch.int64):
                raise DTypeError(f"expects int32 or int64, got {ids.dtype}", where=name)
            odd = ids[(ids < 0) | (ids >= size)]
            if odd.numel():
                raise CheckError(f"expects ids from 0 to {size - 1}, got {int(odd[0])}", where=name)
        positions, longest = _entries(self.model, "position_embeddings"), int(lengths.max())
        if positions is not None and longest + self._first > positions:
            raise ShapeError(
                f"sequence {int(lengths.argmax())} has {longest} tokens, the model has "
                f"{positions - self._first} positions",
                where="input_ids",
                hint="truncate it: tokenizer(..., truncation=True)",
            )

    def explain(self) -> str:
        """What is compiled, then what the kernel of the first layer is made of; see :meth:`pith.Kernel.explain`."""
        kernel = next(iter(self.layers.values())).kernel
        return f"{len(self.layers)} layers on packed tokens, attention within each sequence; each:\n{kernel.explain()}"


def _attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    pith_intervals: torch.Tensor | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Attention as transformers calls it, on packed tokens."""
    where, hint = type(module).__name__, "pad, or build the model with pith.torch.attention"
    if pith_intervals is None:
        raise UnsupportedError("does not hand keyword arguments on to its attention", where=where, hint=hint)
    given = [name for name in _OTHER_ATTENTION if kwargs.get(name) is not None]
    if attention_mask is not None or given:
        raise UnsupportedError(f"attention with {(given or ['attention_mask'])[0]}", where=where, hint=hint)
    causal = kwargs.get("is_causal")
    if getattr(module, "is_causal", False) if causal is None else causal:
        raise UnsupportedError("causal attention", where=where, hint=hint)
    return attention(query, key, value, pith_intervals, scale=scaling).transpose(1, 2), None


def _register() -> None:
    try:
        registry = importlib.import_module("transformers").AttentionInterface
    except (ImportError, AttributeError) as e:
        raise ToolError(f"unpad needs transformers 4.48 or newer: {e}", hint="pip install -U transformers") from e
    registry.register(_IMPLEMENTATION, _attend)


def _require_encoder(model: Any) -> None:
    name = type(model).__name__
    if not getattr(model, "_can_set_attn_implementation", bool)():
        raise UnsupportedError(
            "is no model of transformers whose attention can be exchanged",
            where=name,
            hint="write it for packed tokens with pith.torch.attention, and pith.compile it",
        )
    if getattr(model.config, "is_decoder", False):
        raise UnsupportedError("is a decoder: its attention is causal", where=name, hint="unpad takes encoders")
    if model.training:
        raise UnsupportedError("is in training mode", where=name, hint="call model.eval()")


def _formats(model: torch.nn.Module, sparsity: Mapping[str, object] | None) -> dict[str, Stored]:
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters(remove_duplicate=False)}
    return assign_formats(sparsity, shapes).said


def _require_all_used(formats: Mapping[str, Stored], layers: Mapping[str, CompiledLayer]) -> None:
    for name in formats:
        if not any(name.startswith(f"{layer}.") for layer in layers):
            raise ImportProgramError(
                f"{name} is outside of the repeated layers, which alone are compiled",
                where=f"sparsity of {name}",
                hint=f"name weights of the layers alone: '{next(iter(layers)).rpartition('.')[0]}.*.weight'",
            )


def _example(model: Any, lengths: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """A padded batch of these lengths: ids that are no padding, and the mask."""
    pad = getattr(model.config, "pad_token_id", None) or 0
    mask = torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)
    ids = torch.arange(mask.numel()).reshape(mask.shape) % (model.config.vocab_size - pad - 1) + pad + 1
    return torch.where(mask, ids, pad), mask.long()


def _require_equal(made: Unpadded, model: Any, said: Mapping[str, Stored]) -> None:
    """Compare with the model itself, on weights as they are stored: what it does with positions and masks is its own
    business."""
    ids, mask = _example(model, _EXAMPLES[-1])
    rounded = {n: as_rounded(model.get_parameter(n), s) for n, s in said.items() if not isinstance(s, Format)}
    out = torch.func.functional_call(model, rounded, kwargs={"input_ids": ids, "attention_mask": mask})
    expected = out.last_hidden_state[mask.bool()]
    error = float((made(ids, mask)[mask.bool()] - expected).norm() / expected.norm())
    if not error <= torch.finfo(expected.dtype).eps ** 0.5:
        raise UnsupportedError(
            f"computes something else on packed tokens: relative difference {error:.1e} on a small batch",
            where=type(model).__name__,
            hint="if its position ids do not start at 0, pass first_position=; biases by position are not supported",
        )


def _lengths(ids: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Tokens per sequence, of a mask that is checked."""
    if ids.dim() != 2:
        raise ShapeError(f"expects (batch, size), got {tuple(ids.shape)}", where="input_ids")
    if mask is None:
        mask = torch.ones_like(ids)
    if mask.shape != ids.shape:
        raise ShapeError(f"expects {tuple(ids.shape)}, got {tuple(mask.shape)}", where="attention_mask")
    if not bool(((mask == 0) | (mask == 1)).all()):
        odd = mask[(mask != 0) & (mask != 1)][0].item()
        raise ArgumentError(f"expects zeros and ones, got {odd}", where="attention_mask")
    kept = mask.bool()
    holes = (~kept[:, :-1] & kept[:, 1:]).any(1)
    if bool(holes.any()):
        raise ArgumentError(
            f"expects padding at the end, sequence {int(holes.nonzero()[0])} has a token behind padding",
            where="attention_mask",
            hint='tokenizer.padding_side = "right"',
        )
    if not bool(kept.any()):
        raise ArgumentError("expects at least one token", where="attention_mask")
    return kept.sum(1)


def _packed(name: str, x: torch.Tensor, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    if x.shape[:2] != ids.shape:
        raise ShapeError(f"expects {tuple(ids.shape)}, got {tuple(x.shape)}", where=name)
    return Ragged.from_padded(x, lengths.numpy()).data.unsqueeze(0)


def _entries(model: torch.nn.Module, table: str) -> int | None:
    """Rows of the embedding a model has under this name."""
    found = (m for name, m in model.named_modules() if name.rpartition(".")[2] == table)
    return next((m.num_embeddings for m in found if isinstance(m, torch.nn.Embedding)), None)


def _pooled(states: Ragged, pool: str) -> torch.Tensor:
    lengths = torch.from_numpy(states.lengths)
    present = (lengths > 0).unsqueeze(1)
    if pool == "mean":
        sums = torch.segment_reduce(states.data, "sum", lengths=lengths, initial=0)
        return sums / lengths.clamp(min=1).unsqueeze(1)
    first = (lengths.cumsum(0) - lengths).clamp(max=len(states.data) - 1)
    return torch.where(present, states.data[first], 0)
