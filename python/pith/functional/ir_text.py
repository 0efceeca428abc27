"""Pieces of the pith-level IR that layers and workloads are written in."""

from __future__ import annotations

#: The least number of a type.
LEAST = {"f32": "0xFF800000", "f64": "0xFFF0000000000000"}


def widened(name: str, element: str, t: str) -> tuple[str, str]:
    """Ops that bring the scalar ``%name`` to type ``t``, and the name of what they make.

    Example:
        >>> widened("v", "f32", "f32"), widened("v", "f16", "f32")[1]
        (('', 'v'), 'v_f32')
    """
    if element == t:
        return "", name
    return f"    %{name}_{t} = arith.extf %{name} : {element} to {t}\n", f"{name}_{t}"


def multiply_add(v: str, u: str, t: str) -> str:
    """The block of a ``linalg.generic`` that adds products to sums of type ``t``; ``v``, ``u``: types of the factors.

    Example:
        >>> print(multiply_add("f16", "f32", "f32"), end="")
            ^bb0(%v: f16, %u: f32, %s: f32):
            %v_f32 = arith.extf %v : f16 to f32
            %term = arith.mulf %v_f32, %u : f32
            %total = arith.addf %s, %term : f32
            linalg.yield %total : f32
    """
    (wide_v, wide_u), (left, right) = zip(widened("v", v, t), widened("u", u, t))
    return f"""    ^bb0(%v: {v}, %u: {u}, %s: {t}):
{wide_v}{wide_u}    %term = arith.mulf %{left}, %{right} : {t}
    %total = arith.addf %s, %term : {t}
    linalg.yield %total : {t}
"""


def yielded(name: str, t: str, element: str) -> str:
    """The end of a body: ``%name`` of type ``t``, yielded as an ``element``.

    Example:
        >>> yielded("y", "f32", "f32")
        '    linalg.yield %y : f32\\n'
    """
    if element == t:
        return f"    linalg.yield %{name} : {element}\n"
    return f"    %narrow = arith.truncf %{name} : {t} to {element}\n    linalg.yield %narrow : {element}\n"
