"""The text of ``#pith.format`` without MLIR, so that cached kernels are found without loading it."""

from __future__ import annotations

from ..errors import FormatError
from .format import Format


def format_attribute(fmt: Format) -> str:
    """What ``FormatAttr.from_format(fmt)`` parses from.

    Errors: :class:`pith.FormatError` for a level of one coordinate: MLIR folds ``d1 mod 1`` to 0.

    >>> print(format_attribute(Format.csr()))
    #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>
    """
    for expr, level in zip(fmt.exprs, fmt.levels):
        if expr.mod == 1:
            raise FormatError(
                f"no kernel for the level {expr} : {level} of format {fmt}: it has one coordinate",
                hint="leave the level out",
            )
    dims = ", ".join(f"d{i}" for i in range(fmt.rank))
    exprs = ", ".join(str(e) for e in fmt.exprs)
    levels = ", ".join(
        f"#pith.nm<{level.g}, {level.h}>" if level.kind == "nm" else f'#pith.level<"{level}">' for level in fmt.levels
    )
    widths = f"{fmt.pos_width}, {fmt.crd_width}, {fmt.nm_width}"
    text = f"#pith.format<affine_map<({dims}) -> ({exprs})>, [{levels}], {widths}>"
    return f"#pith.padded<{text}>" if fmt.padded else text
