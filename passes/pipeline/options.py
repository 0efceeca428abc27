"""Options of pith's passes: the fields of their dataclasses, to and from text."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import types
import typing
from typing import Any

from pith.errors import Error

from ..core import Pass
from .syntax import Option, PassNode, Source, split_options, unquote

_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")
_KIND = {int: "an integer", float: "a number", bool: "true or false", str: "a string"}


@functools.cache
def option_types(cls: type[Pass]) -> dict[str, Any]:
    """Option name (hyphenated, as in text) -> the type of its field."""
    hints = typing.get_type_hints(cls)
    return {f.name.replace("_", "-"): hints[f.name] for f in dataclasses.fields(cls) if f.init}


def build_pass(cls: type[Pass], node: PassNode, source: Source) -> Pass:
    """An instance of ``cls`` with the options of ``node``, which stands in ``source``.

    Errors: :class:`pith.PipelineError` on an unknown or repeated option, a value of another
    type, or a value the pass itself refuses.
    """
    known = option_types(cls)
    values: dict[str, Any] = {}
    for option in split_options(source, node.options or "", source.text.find("{", node.pos) + 1):
        if option.key not in known:
            source.error(option.pos, f"pass {node.name!r} has no option {option.key!r}", _valid(option, known))
        field = option.key.replace("-", "_")
        if field in values:
            source.error(option.pos, f"option {option.key!r} is given twice")
        try:
            values[field] = _convert(known[option.key], option.value)
        except ValueError:
            what = f"option {option.key!r} of {node.name!r} expects {describe_type(known[option.key])}"
            hint = "options are separated by spaces" if "," in (option.value or "") else None
            source.error(option.pos, f"{what}, got {option.value!r}" if option.value is not None else what, hint)
    try:
        return cls(**values)
    except Error as e:
        source.error(node.pos, f"pass {node.name!r}: {e.message}", e.hint)
    except (ValueError, TypeError) as e:
        source.error(node.pos, f"pass {node.name!r}: {e}")


def format_pass(pass_: Pass) -> str:
    """The text that names ``pass_``: options that differ from their defaults, in field order."""
    parts = []
    for f in dataclasses.fields(pass_):
        value = getattr(pass_, f.name)
        if f.init and value != f.default:
            parts.append(f"{f.name.replace('_', '-')}={format_value(value)}")
    return f"{pass_.name}{{{' '.join(parts)}}}" if parts else pass_.name


def format_value(value: Any) -> str:
    """An option's value as text."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    text = str(value)
    return f'"{text}"' if not text or any(c.isspace() or c in "{}[](),'" for c in text) else text


def describe_type(type_: Any) -> str:
    """What a value of ``type_`` looks like, in words: ``a comma-separated list of integers``."""
    args = typing.get_args(type_)
    if typing.get_origin(type_) is typing.Literal:
        return "one of " + ", ".join(map(str, args))
    if typing.get_origin(type_) is tuple:
        return f"a comma-separated list ({_KIND.get(args[0], 'a string')} each)"
    if typing.get_origin(type_) in (typing.Union, types.UnionType):
        return " or ".join("none" if a is type(None) else describe_type(a) for a in args)
    return _KIND.get(type_, "a string")


def _convert(type_: Any, value: str | None) -> Any:
    origin, args = typing.get_origin(type_), typing.get_args(type_)
    if type_ is bool:
        return _bool("true" if value is None else unquote(value))
    if value is None:
        raise ValueError
    if origin in (typing.Union, types.UnionType):
        return _union(args, value)
    if origin is tuple:
        inner = unquote(value[1:-1] if value[:1] + value[-1:] == "[]" else value)
        return tuple(_convert(args[0], item.strip()) for item in inner.split(",")) if inner.strip() else ()
    value = unquote(value)
    if origin is typing.Literal:
        return next(a for a in args if str(a) == value) if value in map(str, args) else _refuse()
    return type_(value) if type_ in (int, float) else value


def _union(args: tuple[Any, ...], value: str) -> Any:
    if type(None) in args and value == "none":
        return None
    for arg in args:
        try:
            if arg is not type(None):
                return _convert(arg, value)
        except ValueError:
            continue
    return _refuse()


def _bool(value: str) -> bool:
    lowered = value.lower()
    if lowered not in _TRUE + _FALSE:
        return _refuse()
    return lowered in _TRUE


def _refuse() -> typing.NoReturn:
    raise ValueError


def _valid(option: Option, known: dict[str, Any]) -> str:
    if not known:
        return "the pass takes no options"
    close = difflib.get_close_matches(option.key, known, 1)
    listing = ", ".join(f"{name} ({describe_type(t)})" for name, t in known.items())
    return (f"did you mean {close[0]!r}? " if close else "") + f"its options are: {listing}"
