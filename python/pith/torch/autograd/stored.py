"""Stored tensors as torch's ops take them: plain tensors, and a line of text that says how they belong together."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.weak import WeakTensorKeyDictionary

from ...errors import DeviceError
from ...formats import HSS, Format, buffer_specs
from ...formats.pack_buffers import metadata_dtype
from ...formats.parse import format_name
from ...generation import values_changed
from ...named_formats import as_format
from ...quantization import QuantizedTensor
from ...sparse import SparseTensor
from ...sparse_interop import numpy_of

#: Values -> their state when they were last handed out.
_written: WeakTensorKeyDictionary = WeakTensorKeyDictionary()

#: First buffer of a tensor -> (state of all its buffers, the tensor on them); lives as long as that buffer.
_stored: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


def text_of(tensor: SparseTensor | QuantizedTensor) -> str:
    """What :func:`stored` has to know beside the buffers of a matrix.

    >>> import pith
    >>> text_of(pith.compress(torch.eye(4), "C0(1:4)"))
    '{"format": "C0(1:4)", "widths": [0, 0, 0], "shape": [4, 4]}'
    """
    fmt, hss = tensor.format, tensor.hss
    widths = fmt.pos_width, fmt.crd_width, fmt.nm_width
    named = hss is not None and as_format(str(hss))[0].with_widths(*widths) == fmt
    said: dict[str, Any] = {"format": str(hss) if named else format_name(fmt), "widths": widths, "shape": tensor.shape}
    if isinstance(tensor, QuantizedTensor):
        said |= {"bits": tensor.bits, "group": tensor.group, "count": tensor.count}
    return json.dumps(said)


def stored(buffers: Sequence[torch.Tensor], text: str) -> Any:
    """The :class:`pith.SparseTensor` on ``buffers`` (metadata, values), or the :class:`pith.QuantizedTensor` (metadata,
    integers, scales, zero points where it has them).

    Semantics: shares their memory on the CPU. It is the same object for the same buffers until their metadata or, of a
        quantised tensor, anything changes; then buffers are checked again.
    Errors: :class:`pith.FormatError` for buffers that do not obey the format.

    Example:
        >>> import pith
        >>> A = pith.compress(torch.eye(4), "csr")
        >>> stored([torch.from_numpy(b) for b in A.buffers], text_of(A))
        SparseTensor(4x4 float32, csr, 4 stored, 52 bytes)
    """
    kind = _kind(text)
    state = (text, *map(buffer_state, buffers if kind.scheme else buffers[: max(1, kind.metadata)]))
    kept = _stored.get(buffers[0])
    if kept is None or kept[0] != state:
        kept = _stored[buffers[0]] = state, kind.of(buffers)
    return kept[1]


def stored_today(buffers: Sequence[torch.Tensor], text: str) -> SparseTensor:
    """:func:`stored` of a sparse matrix for anybody's use: on these values, whatever others its metadata was met with,
    and without the copies that products made before they were overwritten.

    >>> import pith
    >>> A = pith.compress(torch.eye(4), "csr")
    >>> *metadata, values = (torch.from_numpy(b) for b in A.buffers)
    >>> stored_today([*metadata, 2 * values], text_of(A)).values.tolist()
    [2.0, 2.0, 2.0, 2.0]
    """
    tensor, values = stored(buffers, text), buffers[-1]
    today, state = numpy_of(values), buffer_state(values)
    if _written.get(values, state) != state:
        values_changed()
    _written[values] = state
    if tensor.values.dtype == today.dtype and tensor.values.ctypes.data == today.ctypes.data:
        return tensor
    return SparseTensor(tensor.shape, tensor.format, (*tensor.buffers[:-1], today), tensor.hss)


def stored_shape(text: str) -> tuple[int, ...]:
    """The sizes of the tensor that a text describes.

    >>> import pith
    >>> stored_shape(text_of(pith.compress(torch.ones(2, 4), "csr")))
    (2, 4)
    """
    return _kind(text).shape


def is_quantized(text: str) -> bool:
    """Whether the matrix that a text describes is a :class:`pith.QuantizedTensor`.

    >>> import pith
    >>> is_quantized(text_of(pith.quantize(np.ones((4, 4), np.float32), "dense")))
    True
    """
    return bool(_kind(text).scheme)


def are_alike(text: str, other: str) -> bool:
    """Whether buffers of one text mean the same under another: format and shape, and integers and groups of a quantised
    tensor.

    >>> import pith
    >>> A = pith.compress(torch.eye(4), "csr")
    >>> are_alike(text_of(A), text_of(A.to("csc")))
    False
    """
    if text == other:
        return True
    one, two = _kind(text), _kind(other)
    of_values = [{**kind.scheme, "count": None} for kind in (one, two)]  # how many lists hold is not fixed
    return (one.shape, one.format) == (two.shape, two.format) and of_values[0] == of_values[1]


def told(text: str) -> str:
    """A text for readers.

    >>> import pith
    >>> told(text_of(pith.compress(torch.eye(4), "csr")))
    '4x4 as csr'
    """
    kind = _kind(text)
    group = kind.scheme.get("group")
    scales = "a scale per row" if group is None else f"groups of {group}"
    values = f" of i{kind.scheme['bits']}, {scales}" if kind.scheme else ""
    return f"{'x'.join(map(str, kind.shape))} as {kind.hss or format_name(kind.format)}{values}"


@dataclasses.dataclass(frozen=True)
class _Kind:
    """What a text says: sizes, a format with the notation it was given in, and how values are quantised."""

    shape: tuple[int, ...]
    format: Format
    hss: HSS | None
    scheme: dict[str, Any]

    @functools.cached_property
    def metadata(self) -> int:
        """Number of metadata buffers."""
        return len(buffer_specs(self.format))

    def of(self, buffers: Sequence[torch.Tensor]) -> SparseTensor | QuantizedTensor:
        """The tensor on ``buffers``, checked."""
        arrays = [_array(b, self.scheme) for b in buffers]
        metadata = [a.view(metadata_dtype(s.bits)) for a, s in zip(arrays, buffer_specs(self.format))]
        values = arrays[self.metadata :]
        if not self.scheme:
            return SparseTensor(self.shape, self.format, (*metadata, *values), self.hss).validate()
        stored, zero_points = (*metadata, values[0]), values[2] if len(values) > 2 else None
        rows, columns = self.shape
        q = QuantizedTensor((rows, columns), self.format, stored, values[1], zero_points, **self.scheme, hss=self.hss)
        SparseTensor(self.shape, self.format, (*metadata, q.integers), self.hss).validate()
        return q


@functools.cache
def _kind(text: str) -> _Kind:
    said = json.loads(text)
    (fmt, hss), widths, shape = as_format(said.pop("format")), said.pop("widths"), tuple(said.pop("shape"))
    return _Kind(shape, fmt.with_widths(*widths), hss, said)


def buffer_state(buffer: torch.Tensor) -> tuple[Any, ...]:
    """What is another one when a tensor was written to, or lies elsewhere."""
    return buffer.device, buffer.data_ptr(), 0 if buffer.is_inference() else buffer._version


def _array(buffer: torch.Tensor, scheme: Mapping[str, Any]) -> np.ndarray:
    if scheme and buffer.device.type != "cpu":
        raise DeviceError(f"expects buffers on the CPU, got {buffer.device}", where="stored weight", hint="layer.cpu()")
    return numpy_of(buffer)
