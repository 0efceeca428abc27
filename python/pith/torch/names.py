"""Which operands a sparsity pattern names, in pure Python.

``sparsity={"*.dense.weight": fmt}`` speaks of parameters, buffers, inputs and submodules by name.
"""

from __future__ import annotations

import dataclasses
import difflib
import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..errors import ArgumentError, FormatError, ImportProgramError, ShapeError, UnsupportedError
from ..formats import HSS, Format
from ..formats.infer import Inferred
from ..formats.parse import parse_format
from ..functional.dynamic.dynamic import Dynamic
from ..named_formats import short_name
from ..quantization import Quantized, QuantizedTensor

#: What may be said of an operand: a format, how its values are quantised besides, or the quantised tensor itself.
Stored = Format | Quantized | QuantizedTensor


@dataclasses.dataclass(frozen=True)
class Assignment:
    """Formats by name, as patterns assign them.

    Attributes:
        operands: parameter, buffer or input name -> its format.
        quantized: of those operands that are stored as small integers, what was said of them.
        activations: submodule name -> the format of its output, or :func:`pith.dynamic` when zeros are found at
            run time.
    """

    operands: dict[str, Format]
    quantized: dict[str, Quantized | QuantizedTensor]
    activations: dict[str, Format | Dynamic]

    @property
    def said(self) -> dict[str, Stored]:
        """Of every operand named, all that was said."""
        return {**self.operands, **self.quantized}


def as_format(value: object, where: str) -> Format:
    """A :class:`Format` from a Format, an HSS, text (``C1(3:4)->C0(2:4)``, ``csr``, ``csc``, ``coo``) or what has one.

    Errors: :class:`pith.FormatError` that names ``where``.

    >>> as_format("csr", "w") == Format.csr()
    True
    >>> as_format("C0(2:4)", "w").density
    0.5
    >>> import pith, torch
    >>> found = pith.infer_format(torch.eye(8))
    >>> as_format(found, "w") == found.format
    True
    """
    if isinstance(value, Format):
        return value
    if isinstance(value, HSS):
        return value.to_format()
    if isinstance(value, Quantized | QuantizedTensor | Inferred):
        return as_format(value.format, where)
    if not isinstance(value, str):
        raise FormatError(
            f"expects a Format, an HSS, text or pith.Quantized, got {type(value).__name__}",
            where=where,
            hint="e.g. pith.HSS.parse('C1(3:4)->C0(2:4)') or pith.Format.csr()",
        )
    try:
        named = parse_format(value)
        return named.to_format() if isinstance(named, HSS) else named
    except FormatError as e:
        raise FormatError(e.message, where=where, hint=e.hint) from e


def assign_formats(
    sparsity: Mapping[str, object] | None,
    shapes: Mapping[str, Sequence[int]],
    submodules: Iterable[str] = (),
    kinds: str = "parameter, buffer, input or submodule",
) -> Assignment:
    """Match every pattern against the names of operands, and only if none fits against submodules.

    Args:
        sparsity: ``fnmatch`` pattern -> format, :class:`pith.Quantized` or :class:`pith.QuantizedTensor`.
        shapes: operand name -> shape, with -1 for dynamic sizes.
        submodules: names whose outputs can be marked sparse.
        kinds: what the names are of, for errors.

    Errors: :class:`pith.ImportProgramError` for a pattern that names nothing or for two patterns
        that disagree on one name; :class:`pith.ArgumentError` for no mapping;
        :class:`pith.ShapeError` when a format does not fit its operand, or a quantised tensor has another shape;
        :class:`pith.UnsupportedError` for :func:`pith.dynamic` on an operand, and quantised activations.

    Example:
        >>> shapes = {"up.weight": (8, 16), "up.bias": (8,), "x": (4, 16)}
        >>> a = assign_formats({"*.weight": "C0(2:4)", "act": "csr"}, shapes, ["up", "act"])
        >>> list(a.operands), list(a.activations)
        (['up.weight'], ['act'])
    """
    if sparsity is not None and not isinstance(sparsity, Mapping):
        raise ArgumentError(
            f"sparsity expects a mapping from name patterns to formats, got {type(sparsity).__name__}",
            hint='e.g. {"*.weight": "C0(2:4)"}',
        )
    operands: dict[str, tuple[str, Any]] = {}
    activations: dict[str, tuple[str, Any]] = {}
    modules = list(submodules)
    for pattern, value in (sparsity or {}).items():
        where = f"sparsity[{pattern!r}]"
        if not isinstance(pattern, str):
            raise ArgumentError(f"expects a name pattern, got {type(pattern).__name__}", where=where)
        fmt = _said(value, where)
        for table, names in ((operands, list(shapes)), (activations, modules)):
            matches = fnmatch.filter(names, pattern)
            for name in matches:
                _assign(table, name, pattern, fmt)
            if matches:
                _require_suitable(fmt, matches[0], table is operands, where)
                break
        else:
            known = modules if isinstance(fmt, Dynamic) else [*shapes, *modules]
            raise _nothing_named(pattern, known, "submodule" if isinstance(fmt, Dynamic) else kinds)
    formats = {name: as_format(said, f"sparsity[{pattern!r}]") for name, (pattern, said) in operands.items()}
    for name, (pattern, said) in operands.items():
        _require_rank(name, pattern, formats[name], shapes)
        where, shape = f"{name} (sparsity[{pattern!r}])", tuple(shapes[name])
        check_fits(formats[name], shape, where)
        if isinstance(said, QuantizedTensor) and said.shape != shape:
            raise ShapeError(f"expects a quantised tensor of shape {shape}, got {said.shape}", where=where)
    quantized = {n: said for n, (_, said) in operands.items() if isinstance(said, Quantized | QuantizedTensor)}
    return Assignment(formats, quantized, {n: f for n, (_, f) in activations.items()})


def check_fits(fmt: Format, shape: Sequence[int], where: str) -> None:
    """Raise :class:`pith.ShapeError` naming ``where`` unless ``fmt`` can store ``shape``."""
    try:
        fmt.check_shape(shape)
    except ShapeError as e:
        raise ShapeError(e.message, where=where, hint=e.hint) from e


#: Formats of filters, by their number of dimensions.
_FILTERS = {3: "'MCS: S->C1->C0(2:4)' or 'MCS: C0(*)'", 4: "'MCRS: R->S->C1->C0(2:4)' or 'MCRS: C0(*)'"}


def _require_rank(name: str, pattern: str, fmt: Format, shapes: Mapping[str, Sequence[int]]) -> None:
    """Raise for an operand of another rank, and name the others of its pattern: norms have weights, too."""
    if len(shapes[name]) == fmt.rank:
        return
    fitting = [n for n in fnmatch.filter(shapes, pattern) if len(shapes[n]) == fmt.rank]
    hint = f"name what it is for: {', '.join(map(repr, fitting[:4]))}" if fitting else "choose another format"
    if len(shapes[name]) in _FILTERS and not fitting:
        hint = f"of convolutions every dimension stays apart: e.g. {_FILTERS[len(shapes[name])]}"
    raise ShapeError(
        f"format {short_name(fmt)} is for rank {fmt.rank}, got shape {tuple(shapes[name])}",
        where=f"{name} (sparsity[{pattern!r}])",
        hint=hint,
    )


def _said(value: object, where: str) -> Stored | Dynamic:
    """What a pattern says, formats parsed."""
    if isinstance(value, Dynamic):
        return _require_declared(value, where)
    fmt = as_format(value, where)
    return value if isinstance(value, Quantized | QuantizedTensor) else fmt


def _require_suitable(said: Stored | Dynamic, name: str, is_operand: bool, where: str) -> None:
    if is_operand and isinstance(said, Dynamic):
        raise UnsupportedError(
            f"{name} is a parameter, buffer or input; zeros are followed in outputs of submodules",
            where=where,
            hint="name the submodule that makes the activation, or give a parameter a format",
        )
    if not is_operand and isinstance(said, Quantized | QuantizedTensor):
        raise UnsupportedError(
            f"{name} is a submodule, whose output is not known before it runs; weights are quantised",
            where=where,
            hint=f"name its weight: {f'{name}.weight'!r}",
        )


def _assign(table: dict[str, tuple[str, Any]], name: str, pattern: str, fmt: Stored | Dynamic) -> None:
    other = table.get(name)
    if other is not None and other[1] != fmt:
        raise ImportProgramError(
            f"patterns {other[0]!r} and {pattern!r} give {name} different formats: {other[1]} and {fmt}",
            where=f"sparsity[{pattern!r}]",
            hint="make one of the patterns narrower",
        )
    table[name] = (pattern, fmt)


def _require_declared(value: Dynamic, where: str) -> Dynamic:
    if value.value is not None:
        raise ArgumentError(
            "expects pith.dynamic without an operand", where=where, hint="pith.dynamic(granularity=(32, 1))"
        )
    return value


def _nothing_named(pattern: str, names: Sequence[str], kinds: str) -> ImportProgramError:
    literal = pattern.replace("*", "").strip(".")
    close = difflib.get_close_matches(pattern, names, 5, 0.5) or [n for n in names if literal and literal in n][:5]
    close = close or difflib.get_close_matches(literal, names, 5, 0.3) or list(names)[:5]
    hint = "patterns match whole dotted names, e.g. '*.dense.weight'"
    if pattern.removesuffix(".weight") != pattern and fnmatch.filter(names, pattern.removesuffix(".weight")):
        hint = f"here patterns match layers, not their weights: {pattern.removesuffix('.weight')!r}"
    return ImportProgramError(
        f"the pattern matches no {kinds}; {'close names: ' + ', '.join(close) if close else 'there is none'}",
        where=f"sparsity[{pattern!r}]",
        hint=hint,
    )
