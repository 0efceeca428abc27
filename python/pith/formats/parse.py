"""Formats from text: the literature's notation, well-known names, and the level list ``str(fmt)`` prints."""

from __future__ import annotations

import dataclasses
import re

from ..errors import FormatError
from .format import Format, LevelExpr
from .hss import HSS
from .levels import Level
from .masks import masked
from .rank import Rank

_NAMES = {"dense": Format.dense, "csr": Format.csr, "csc": Format.csc, "coo": Format.coo, "dia": Format.dia}
_SIZED = re.compile(r"(?P<name>bsr|nm|band)\(\s*(?P<a>-?\d+)\s*[x,:]\s*(?P<b>-?\d+)\s*\)$")
_MASKED = re.compile(r"masked\(\s*(\d+)\s*\)$")
_PAD = re.compile(r"\s+pad$")
_LEVEL = re.compile(r"(?P<expr>[^:,]+):\s*(?P<level>\w+\s*(?:\([^()]*\))?)\s*(?:,|$)")
_EXPR = re.compile(
    r"(?:d(?P<dim>\d+)|\(\s*d(?P<dim2>\d+)\s+floordiv\s+(?P<div2>\d+)\s*\))"
    r"(?:\s+floordiv\s+(?P<div>\d+))?(?:\s+mod\s+(?P<mod>\d+))?$"
)
_DIFFERENCE = re.compile(r"d(?P<dim>\d+)\s*-\s*d(?P<minus>\d+)$")


def parse_format(text: str) -> HSS | Format:
    """Parse any text that names a format.

    Semantics: ``C1(3:4)->C0(2:4)`` gives an :class:`HSS`; ``dense``, ``csr``, ``csc``, ``coo``, ``dia``,
        ``bsr(4x4)``, ``band(1:1)``, ``masked(4)`` and ``d0 : dense, d1 : compressed`` give a :class:`Format`;
        ``nm(2:4)`` is ``C0(2:4)``. `` pad`` at the end of any of them stores shapes rounded up.
    Errors: :class:`pith.FormatError` that names the part that does not parse.

    Example:
        >>> print(parse_format("bsr(4x2)"))
        d0 floordiv 4 : dense, d1 floordiv 2 : compressed, d0 mod 4 : dense, d1 mod 2 : dense
        >>> parse_format("d0 : dense, d1 : compressed").levels[1].kind
        'compressed'
    """
    text = text.strip()
    if (unpadded := _PAD.sub("", text)) != text:
        return _padded(parse_format(unpadded))
    if (make := _NAMES.get(text.lower())) is not None:
        return make()
    if (sized := _SIZED.match(text.lower())) is not None:
        a, b = int(sized["a"]), int(sized["b"])
        if sized["name"] == "nm":
            return HSS((Rank(a, b),))
        if sized["name"] == "band":
            return Format.banded(a, b)
        if a < 1 or b < 1:
            raise FormatError(f"cannot parse format {text!r}: block sizes must be positive")
        return Format.bsr(a, b)
    if (found := _MASKED.match(text.lower())) is not None:
        return masked(int(found[1]))
    if re.match(r"[A-Z]", text):
        return HSS.parse(text)
    if re.fullmatch(r"\d+:\d+", text):
        raise FormatError(f"cannot parse format {text!r}", hint=f"write C0({text}): that many of every group")
    return _parse_levels(text)


def _padded(fmt: HSS | Format) -> HSS | Format:
    return dataclasses.replace(fmt, padded=True)


def format_name(fmt: Format) -> str:
    """The shortest text :func:`parse_format` reads ``fmt`` from, widths aside.

    >>> format_name(Format.bsr(4, 2)), format_name(Format.dense(1))
    ('bsr(4x2)', 'd0 : dense')
    """
    if fmt.padded:
        return f"{format_name(fmt.with_padding(False))} pad"
    text = str(fmt)
    if fmt.rank != 2:
        return text
    named = {str(make()): name for name, make in _NAMES.items()}
    if len(fmt.exprs) == 4 and 0 not in (block := (fmt.exprs[2].mod, fmt.exprs[3].mod)):
        named[str(Format.bsr(*block))] = "bsr({}x{})".format(*block)
    if len(fmt.levels) == 3 and 2 <= (rows := fmt.exprs[2].mod) <= 4:
        named[str(masked(rows))] = f"masked({rows})"
    if len(fmt.levels) == 2 and fmt.levels[1].kind == "band":
        named[str(Format.banded(fmt.levels[1].lower, fmt.levels[1].upper))] = str(fmt.levels[1])
    return named.get(text, text)


def _parse_levels(text: str) -> Format:
    """Parse ``expr : level, ...``; the rank is the largest dimension named."""
    pairs: list[tuple[LevelExpr, Level]] = []
    at = 0
    while at < len(text):
        match = _LEVEL.match(text, at)
        if match is None:
            raise FormatError(
                f"cannot parse format {text!r} at {text[at:]!r}",
                hint='e.g. "C1(3:4)->C0(2:4)", "csr", "bsr(4x4)", "d0 : dense, d1 : compressed"',
            )
        pairs.append((parse_expr(match["expr"].strip(), text), Level.parse(match["level"])))
        at = match.end()
    if not pairs:
        raise FormatError("cannot parse format '': no levels", hint='e.g. "csr", "C0(2:4)"')
    return Format.make(1 + max(max(e.dim, e.minus or 0) for e, _ in pairs), *pairs)


def parse_expr(text: str, whole: str) -> LevelExpr:
    """The level expression that ``text`` (a part of the format ``whole``) says.

    >>> parse_expr("(d1 floordiv 4) mod 2", "")
    LevelExpr(dim=1, div=4, mod=2, minus=None)
    """
    if (difference := _DIFFERENCE.match(text)) is not None:
        return LevelExpr(int(difference["dim"]), minus=int(difference["minus"]))
    match = _EXPR.match(text)
    if match is None or (match["dim2"] and match["div"]):
        raise FormatError(
            f"cannot parse level expression {text!r} of format {whole!r}",
            hint="write d<i>, d<i> floordiv c, d<i> mod c, (d<i> floordiv c) mod m or d<i> - d<j>",
        )
    dim, div = match["dim"] or match["dim2"], match["div"] or match["div2"]
    return LevelExpr(int(dim), int(div or 1), int(match["mod"] or 0))
