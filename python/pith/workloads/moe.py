"""Mixtures of experts: every token is multiplied with the weights of the experts it is routed to."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np

from ..compiler.kernel import Kernel, compile_source
from ..errors import CheckError, ShapeError
from ..functional.linear.ir import COMPUTED_IN, require_activation
from ..patterns.check import in_range, integer_array
from ..traceable import traceable
from .arguments import array_of, empty, float_element, like, shaped
from .moe_device import is_on_device, moe_on_device
from .moe_ir import combine_source, grouped_source
from .ragged_ir import pack_source


@traceable
def grouped_matmul(
    x: Any, experts: Any, w: Any, gates: Any = None, *, bias: Any = None, activation: str | None = None
) -> Any:
    """``y[t] = sum over j of gates[t, j] * activation(x[t] @ w[e] + bias[e])`` with ``e = experts[t, j]``.

    Shapes: x: ``(tokens, in)``; experts: ``(tokens,)`` or ``(tokens, k)``, integers; w: ``(n_experts, in, out)``;
        gates: the shape of ``experts``, 1 by default; bias: ``(n_experts, out)``; result: ``(tokens, out)``.
    Semantics: the tokens of an expert are found where they lie and multiplied as one dense product. There
        is no capacity: no token is dropped, experts may have none or all of them. f16 and bf16 are computed
        in f32 and rounded once. New routings compile nothing. Results are torch tensors where ``x`` is one. Torch
        tensors on a GPU stay there, f16, bf16 and f32: what experts get is found out on the device, nothing waits,
        and an expert outside of the range is left out instead of refused.
    Args:
        activation: ``relu``, ``gelu`` (with erf), ``gelu_tanh``, ``silu`` or None.
    Errors: :class:`pith.CheckError` for an expert outside of ``[0, n_experts)`` or named twice by a token;
        :class:`pith.ShapeError`, :class:`pith.DTypeError`, :class:`pith.ArgumentError`.
    Source: Zheng et al., PIT, SOSP 2023; Gale et al., MegaBlocks, MLSys 2023 (no token dropped).

    Example:
        >>> x, w = np.eye(2, dtype=np.float32), np.stack([np.full((2, 2), 1.0), np.full((2, 2), 10.0)])
        >>> grouped_matmul(x, [1, 0], w.astype(np.float32))
        array([[10., 10.],
               [ 1.,  1.]], dtype=float32)
        >>> grouped_matmul(x, [[1, 0], [0, 1]], w.astype(np.float32), np.float32([[0.5, 0.5], [1, 0]]))
        array([[5.5, 5.5],
               [1. , 1. ]], dtype=float32)
    """
    if is_on_device(x):
        return moe_on_device(x, experts, gates, [w], [bias], activation, "pith.grouped_matmul")
    task = Routed.of(x, experts, gates, "pith.grouped_matmul")
    return like(task.combined(task.sums(w, bias, activation)), x)


@traceable
def moe(
    x: Any,
    experts: Any,
    w1: Any,
    w2: Any,
    gates: Any = None,
    *,
    b1: Any = None,
    b2: Any = None,
    activation: str | None = "gelu",
) -> Any:
    """A mixture of experts: ``y[t] = sum over j of gates[t, j] * (activation(x[t] @ w1[e] + b1[e]) @ w2[e] + b2[e])``.

    Shapes: x: ``(tokens, in)``; experts, gates: ``(tokens,)`` or ``(tokens, k)`` (:func:`pith.route` makes both);
        w1: ``(n_experts, in, hidden)``; b1: ``(n_experts, hidden)``; w2: ``(n_experts, hidden, out)``;
        b2: ``(n_experts, out)``; result: ``(tokens, out)``.
    Semantics: as :func:`pith.grouped_matmul`. The hidden layer is computed for the chosen experts of a token only.
    Errors: as :func:`pith.grouped_matmul`.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x, w1, w2 = (rng.standard_normal(s, np.float32) for s in ((5, 4), (3, 4, 8), (3, 8, 4)))
        >>> from pith import route
        >>> experts, gates = route(rng.standard_normal((5, 3), np.float32), k=2)
        >>> moe(x, experts, w1, w2, gates).shape
        (5, 4)
    """
    if is_on_device(x):
        return moe_on_device(x, experts, gates, [w1, w2], [b1, b2], activation, "pith.moe")
    task = Routed.of(x, experts, gates, "pith.moe")
    hidden = task.layer(task.slots(), w1, "w1", b1, "b1", activation)
    parts = task.layer(hidden, w2, "w2", b2, "b2", gates=task.gates)
    return like(task.combined(parts.reshape(*task.experts.shape, parts.shape[1])), x)


@dataclasses.dataclass(frozen=True)
class Routed:
    """Tokens on their way through experts. A slot is one choice of a token: slot ``t * k + j`` is token t's j-th.

    Attributes:
        experts: ``(tokens, k)``.
        gates: the same shape, None for ones.
    """

    x: np.ndarray
    experts: np.ndarray
    gates: np.ndarray | None
    where: str

    @classmethod
    def of(cls, x: Any, experts: Any, gates: Any, where: str) -> Routed:
        tokens = array_of(x, f"{where}: x")
        float_element(tokens, f"{where}: x")
        if tokens.ndim != 2:
            raise ShapeError(f"expects x of shape (tokens, in), got {tokens.shape}", where=where)
        chosen = integer_array(experts, f"{where}: experts")
        if chosen.ndim not in (1, 2) or chosen.shape[0] != tokens.shape[0]:
            raise ShapeError(
                f"expects experts of shape ({tokens.shape[0]},) or ({tokens.shape[0]}, k), got {chosen.shape}",
                where=where,
            )
        slots = (tokens.shape[0], chosen.shape[1] if chosen.ndim == 2 else 1)
        _require_distinct(chosen.reshape(slots), where)
        if gates is not None:
            gates = shaped(gates, chosen.shape, tokens, f"{where}: gates").reshape(slots)
        return cls(tokens, chosen.reshape(slots), gates, where)

    def slots(self) -> np.ndarray:
        """One row per slot: the tokens themselves when each has one."""
        tokens, k = self.experts.shape
        if k == 1:
            return self.x
        element, width = float_element(self.x, self.where), self.x.shape[1]
        out = empty((tokens * k, width), element)
        _pack(element).native(self.x, np.repeat(np.arange(tokens, dtype=np.int32), k), out)
        return out

    def layer(
        self,
        rows: np.ndarray,
        w: Any,
        name: str,
        bias: Any,
        bias_name: str,
        activation: str | None = None,
        gates: np.ndarray | None = None,
        rounded: bool = False,
    ) -> np.ndarray:
        """``gates * activation(rows @ w[expert] + bias[expert])`` for every slot, in the type that is computed in, or
        ``rounded`` to that of ``w``."""
        weights, extras = self.weights(rows, w, name, bias, bias_name, activation)
        if gates is not None:
            extras.append(gates.reshape(-1))
        element = float_element(weights, name)
        rounded = rounded and COMPUTED_IN[element] != element
        out = empty((self.experts.size, weights.shape[2]), element if rounded else COMPUTED_IN[element])
        kernel = _grouped(*_elements(rows, weights), bias is not None, activation, gates is not None, False, rounded)
        kernel.native(self.routing(np.arange(self.experts.size)), rows, weights, *extras, out)
        return out

    def sums(self, w: Any, bias: Any, activation: str | None) -> np.ndarray:
        """One layer, summed over the slots of every token: ``(tokens, 1, out)`` in the type that is computed in; where
        tokens have one slot, in that of ``w``.

        Tokens of several experts are read where they are, and the experts' results are added up in registers.
        """
        tokens, k = self.experts.shape
        if k == 1:
            return self.layer(self.x, w, "w", bias, "bias", activation, self.gates, True)[:, None]
        weights, extras = self.weights(self.x, w, "w", bias, "bias", activation)
        if self.gates is not None:
            gates = np.zeros((tokens, weights.shape[0]), self.gates.dtype)
            gates[np.arange(tokens)[:, None], self.experts] = self.gates
            extras.append(gates)
        out = empty((tokens, weights.shape[2]), COMPUTED_IN[float_element(weights, "w")])
        kernel = _grouped(
            *_elements(self.x, weights), bias is not None, activation, self.gates is not None, True, False
        )
        kernel.native(self.routing(np.repeat(np.arange(tokens), k)), self.x, weights, *extras, out)
        return out[:, None]

    def weights(
        self, rows: np.ndarray, w: Any, name: str, bias: Any, bias_name: str, activation: str | None
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """The weights of a layer, checked, and its bias, where it has one."""
        require_activation(activation, self.where)
        weights = shaped(w, (-1, rows.shape[1], -1), self.x, f"{self.where}: {name}")
        float_element(weights, f"{self.where}: {name}")
        in_range(self.experts, weights.shape[0], f"{self.where}: experts", f"the expert axis of {name}")
        if bias is None:
            return weights, []
        return weights, [shaped(bias, (weights.shape[0], weights.shape[2]), self.x, f"{self.where}: {bias_name}")]

    def routing(self, rows: np.ndarray) -> np.ndarray:
        """Coordinates of the pattern: the row that is meant by every slot, and its expert."""
        listed = np.empty((self.experts.size, 2), np.int32)
        listed[:, 0], listed[:, 1] = rows, self.experts.reshape(-1)
        return listed

    def combined(self, parts: np.ndarray) -> np.ndarray:
        """The sum over the middle axis, as an array like x."""
        tokens, k, width = parts.shape
        if k == 1 and parts.dtype == self.x.dtype:
            return parts[:, 0]
        element = float_element(self.x, self.where)
        out = empty((tokens, width), element)
        _combine(element).native(parts, out)
        return out


def _elements(rows: np.ndarray, weights: np.ndarray) -> tuple[str, str]:
    return float_element(rows, "rows"), float_element(weights, "weights")


def _require_distinct(experts: np.ndarray, where: str) -> None:
    """Raise :class:`pith.CheckError` for a token that names an expert twice: it would be computed and added twice."""
    if experts.shape[1] < 2:
        return
    ranked = np.sort(experts, 1)
    twice = np.argwhere(ranked[:, 1:] == ranked[:, :-1])
    if len(twice):
        token, j = twice[0]
        raise CheckError(
            f"token {token} names expert {ranked[token, j]} twice",
            where=f"{where}: experts",
            hint="add the gates of both, and name it once; pith.route chooses distinct experts",
        )


@functools.cache
def _grouped(x: str, w: str, bias: bool, activation: str | None, gates: bool, summed: bool, rounded: bool) -> Kernel:
    return compile_source(grouped_source(x, w, bias, activation, gates, summed, rounded), "grouped")


@functools.cache
def _combine(element: str) -> Kernel:
    return compile_source(combine_source(element), "combine")


@functools.cache
def _pack(element: str) -> Kernel:
    return compile_source(pack_source(element), "pack")
