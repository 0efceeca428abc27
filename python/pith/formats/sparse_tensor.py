"""Formats as encodings of MLIR's ``sparse_tensor``, and back, where that can say the same. Text only: no MLIR.

Upstream's ``structured[n, m]`` is ``nm`` as the last level under dense ones with whole-byte coordinates;
``batch`` levels, slices and coordinates interleaved in one array (levels without ``soa``) have no
counterpart here, ``bitmask``, packed coordinates and ``nm`` anywhere else none there.
"""

from __future__ import annotations

import re

from ..errors import FormatError
from .format import Format, LevelExpr
from .levels import Level
from .pack_digits import may_repeat
from .parse import parse_expr

_ENCODING = re.compile(
    r"\s*(?:#sparse_tensor\.encoding<)?\{?\s*map\s*=\s*\((?P<dims>[^()]*)\)\s*->\s*\((?P<levels>.*?)\)\s*"
    r"(?P<rest>(?:,\s*\w+\s*=\s*[^,}]+)*)\}?>?\s*$",
    re.DOTALL,
)
_LEVEL = re.compile(
    r"\s*(?P<expr>[^:,]+?)\s*:\s*(?P<kind>\w+)\s*"
    r"(?:\((?P<flags>[^()]*)\)|\[\s*(?P<g>\d+)\s*,\s*(?P<h>\d+)\s*\])?\s*(?:,|$)"
)


def sparse_tensor_encoding(fmt: Format) -> str | None:
    """Text of the ``#sparse_tensor.encoding`` that says ``fmt``, or None when upstream refuses it.

    >>> print(sparse_tensor_encoding(Format.csr()))
    #sparse_tensor.encoding<{ map = (d0, d1) -> (d0 : dense, d1 : compressed), posWidth = 32, crdWidth = 32 }>
    >>> from pith.formats import HSS
    >>> sparse_tensor_encoding(HSS.parse("C1(3:4)->C0(2:4)").to_format()) is None
    True
    """
    structured = [i for i, level in enumerate(fmt.levels) if level.kind == "nm" and not level.is_dense]
    if fmt.padded or fmt.is_dense or any(level.kind == "bitmask" for level in fmt.levels) or not _splits_are_legal(fmt):
        return None
    if fmt.diagonal is not None:  # "failed to infer lvlToDim from dimToLvl", says upstream of d1 - d0
        return None
    if may_repeat(fmt):  # the sparsifier would read the first of the elements stored at one place only
        return None
    if any(below.is_dense and not level.unique for level, below in zip(fmt.levels, fmt.levels[1:])):
        return None  # "dense level cannot follow a non-unique level"
    if structured and not _structured_is_legal(fmt, structured):
        return None
    dims = ", ".join(f"d{i}" for i in range(fmt.rank))
    levels = ", ".join(f"{e} : {_level_text(level)}" for e, level in zip(fmt.exprs, fmt.levels))
    crd_width = fmt.nm_width if structured else fmt.crd_width
    widths = f"posWidth = {fmt.pos_width}, crdWidth = {crd_width}"
    return f"#sparse_tensor.encoding<{{ map = ({dims}) -> ({levels}), {widths} }}>"


def _splits_are_legal(fmt: Format) -> bool:
    """Upstream inverts permutations and one block split per dimension, blocks before what is inside them."""
    divs = [[e.div for e in fmt.exprs if e.dim == d] for d in range(fmt.rank)]
    return all(len(d) == 1 or (len(d) == 2 and d[0] > d[1]) for d in divs)


def _structured_is_legal(fmt: Format, structured: list[int]) -> bool:
    """Upstream: one ``structured`` level, last, everything above dense, whole-byte coordinates."""
    last = len(fmt.levels) - 1
    return structured == [last] and all(v.is_dense for v in fmt.levels[:last]) and fmt.nm_width >= 8


def _level_text(level: Level) -> str:
    if level.is_dense:
        return "dense"
    if level.kind == "nm":
        return f"structured[{level.g}, {level.h}]"
    flags = [f for f, on in (("nonunique", not level.unique), ("nonordered", not level.ordered)) if on]
    if level.kind == "singleton":
        flags.append("soa")
    return level.kind + (f"({', '.join(flags)})" if flags else "")


def from_sparse_tensor_encoding(encoding: object) -> Format:
    """The format that a ``#sparse_tensor.encoding`` (an attribute, or its text) says.

    Semantics: the buffers of a tensor stay the same; ``structured`` coordinates have the width the encoding
        gives to coordinates (0, the native index, is 64 bits).
    Errors: :class:`pith.FormatError` naming what has no counterpart.

    Example:
        >>> text = "#sparse_tensor.encoding<{ map = (i, j) -> (i : dense, j floordiv 4 : dense, "
        >>> print(from_sparse_tensor_encoding(text + "j mod 4 : structured[2, 4]), crdWidth = 8 }>"))
        d0 : dense, d1 floordiv 4 : dense, d1 mod 4 : nm(2:4)
    """
    text = str(encoding)
    match = _ENCODING.match(text)
    if match is None:
        raise FormatError(f"cannot read {text!r} as a #sparse_tensor.encoding of levels of dimensions")
    options = dict(re.findall(r"(\w+)\s*=\s*([^,}]*[^,}\s])", match["rest"]))
    widths = {name: int(options.pop(name, "0")) for name in ("posWidth", "crdWidth")}
    if re.fullmatch(r"0(\.0*(e[+-]?\d+)?)?\s*(:.*)?", options.get("implicitVal", "")):  # what it is without being said
        del options["implicitVal"]
    if options:
        raise FormatError(f"{', '.join(options)} of {text!r} has no counterpart in a pith format")
    names = {name.strip(): f"d{i}" for i, name in enumerate(match["dims"].split(","))}
    pairs = list(_levels(match["levels"], names, text))
    has_nm = any(level.kind == "nm" for _, level in pairs)
    nm_width = (widths["crdWidth"] or 64) if has_nm else 0
    crd_width = 0 if has_nm else widths["crdWidth"]
    return Format.make(len(names), *pairs, pos_width=widths["posWidth"], crd_width=crd_width, nm_width=nm_width)


def _levels(text: str, names: dict[str, str], whole: str):
    """(expression, level) pairs of the right-hand side of the map."""
    at = 0
    while at < len(text):
        match = _LEVEL.match(text, at)
        if match is None:
            raise FormatError(f"cannot read the level at {text[at:]!r} of {whole!r}")
        expr = re.sub(r"[A-Za-z_]\w*", lambda m: names.get(m[0], m[0]), match["expr"])
        yield _bracketed(expr, whole), _level_of(match, whole)
        at = match.end()


def _bracketed(expr: str, whole: str) -> LevelExpr:
    """Upstream prints ``d floordiv a mod b`` without the parentheses pith writes."""
    both = re.match(r"(d\d+\s+floordiv\s+\d+)\s+mod\s+(\d+)$", expr)
    return parse_expr(f"({both[1]}) mod {both[2]}" if both else expr, whole)


def _level_of(match: re.Match[str], whole: str) -> Level:
    if match["kind"] == "structured" and match["g"]:
        return Level.nm(int(match["g"]), int(match["h"]))
    flags = [flag.strip() for flag in (match["flags"] or "").split(",") if flag.strip()]
    if match["kind"] == "singleton" and "soa" not in flags:
        raise FormatError(
            f"the level {match['expr']} : singleton of {whole!r} interleaves its coordinates with those above",
            hint="singleton(soa) keeps an array per level, as pith does",
        )
    kept = ", ".join(flag for flag in flags if flag != "soa")
    return Level.parse(f"{match['kind']}({kept})")
