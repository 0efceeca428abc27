"""What a ``state_dict`` says of how a weight is stored: buffers of other formats may have the same names and sizes."""

from __future__ import annotations

from typing import Any

import torch

from ..autograd.stored import are_alike, told

#: The entry of a ``state_dict``: text as bytes, which all file formats of tensors hold.
KEY = "stored"


def save_kind(state: dict[str, Any], prefix: str, text: str) -> None:
    """Write down what a layer stores.

    >>> state = {}
    >>> save_kind(state, "0.", '{"format": "csr", "widths": [32, 32, 0], "shape": [4, 4]}')
    >>> list(state), state["0.stored"].dtype
    (['0.stored'], torch.uint8)
    """
    state[prefix + KEY] = torch.tensor(list(text.encode()), dtype=torch.uint8)


def take_kind(state: dict[str, Any], prefix: str, text: str, errors: list[str]) -> None:
    """Take that entry out of a state, and add to the errors of ``load_state_dict`` if it is of another format or shape.

    States without one are taken as they are.

    >>> state, errors = {}, []
    >>> save_kind(state, "0.", '{"format": "csc", "widths": [32, 32, 0], "shape": [4, 4]}')
    >>> take_kind(state, "0.", '{"format": "csr", "widths": [32, 32, 0], "shape": [4, 4]}', errors)
    >>> state, len(errors)
    ({}, 1)
    """
    said = state.pop(prefix + KEY, None)
    if said is None or said.is_meta:
        return
    other = bytes(said.tolist()).decode()
    if not are_alike(other, text):
        errors.append(
            f'"{prefix.removesuffix(".")}" holds {told(text)}, the state {told(other)}: '
            "make the layer with the format of the state, e.g. by pith.torch.sparsify_, before loading"
        )
