"""Formats as users name them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from .errors import Error, FormatError
from .formats import HSS, Format, Rank
from .formats.parse import format_name, parse_format

#: Formats as users type them: ``A.to(pith.CSR)``. Positions and coordinates are int32.
CSR = Format.csr()
CSC = Format.csc()
COO = Format.coo()
DIA = Format.dia()


def BSR(rows: int, columns: int) -> Format:
    """Compressed rows of dense ``rows x columns`` blocks.

    Errors: :class:`pith.FormatError` for blocks without elements.

    Example:
        >>> print(BSR(4, 8))
        d0 floordiv 4 : dense, d1 floordiv 8 : compressed, d0 mod 4 : dense, d1 mod 8 : dense
    """
    return Format.bsr(rows, columns)


def BAND(lower: int, upper: int) -> Format:
    """The diagonals from ``lower`` below to ``upper`` above the main one, row by row and without metadata.

    Errors: :class:`pith.FormatError` for negative numbers.

    Example:
        >>> print(BAND(1, 2))
        d0 : dense, d1 - d0 : band(1:2)
    """
    return Format.banded(lower, upper)


def NM(g: int, h: int) -> HSS:
    """At most ``g`` non-zeros in every ``h`` consecutive columns: ``C0(g:h)``.

    Errors: :class:`pith.FormatError` unless 1 <= g <= h.

    Example:
        >>> NM(2, 4) == HSS.parse("C0(2:4)"), NM(2, 4).density
        (True, 0.5)
    """
    return HSS((Rank(g, h),))


#: Anything that names a format: an object, ``"C1(3:4)->C0(2:4)"``, ``"csr"``, ...
FormatLike = Format | HSS | str


def short_name(fmt: Format) -> str:
    """The shortest name of a format: a library's, else the literature's, else its levels.

    >>> short_name(CSR), short_name(NM(2, 4).to_format())
    ('csr', 'C0(2:4)')
    """
    name = format_name(fmt)
    if name != str(fmt):
        return name
    try:
        ranks = str(HSS.from_format(fmt)).split("->")
    except FormatError:
        return name
    for first in reversed(range(len(ranks))):  # dense ranks outside of the others go without saying
        with contextlib.suppress(FormatError):
            if HSS.parse(text := "->".join(ranks[first:])).to_format() == fmt:
                return text
    return name


@contextlib.contextmanager
def in_the_words_of(hss: HSS | None, fmt: Format) -> Iterator[None]:
    """Let errors call a format what the user called it: ``C0(2:4)``, not its levels.

    >>> with in_the_words_of(fmt := NM(2, 4), fmt.to_format()):
    ...     fmt.to_format().check_shape((1, 6))
    Traceback (most recent call last):
    ...
    pith.errors.ShapeError: dimension 1 of shape (1, 6) has size 6, which 4 does not divide (format C0(2:4))
      hint: pad dimension 1 with zeros to 8, let the format do so (' pad' after its text, fmt.with_padding()),
      or choose a format whose group divides it
    """
    try:
        yield
    except Error as e:
        levels, name = str(fmt), short_name(fmt) if hss is None else str(hss)
        if levels == name or levels not in e.message:
            raise
        raise type(e)(e.message.replace(levels, name), where=e.where, hint=e.hint) from None


def as_format(fmt: FormatLike) -> tuple[Format, HSS | None]:
    """The :class:`Format` that ``fmt`` names, and its :class:`HSS` when it is one.

    Errors: :class:`pith.FormatError` when the text does not parse or ``fmt`` is something else.
    """
    named = parse_format(fmt) if isinstance(fmt, str) else fmt
    if isinstance(named, HSS):
        return named.to_format(), named
    if isinstance(named, Format):
        return named, None
    is_dtype = isinstance(fmt, type) or "dtype" in type(fmt).__name__.lower()
    hint = "A.astype(dtype) changes the element type" if is_dtype else 'e.g. pith.CSR, "C1(3:4)->C0(2:4)"'
    raise FormatError(f"expects a format, got {type(fmt).__name__}", hint=hint)
