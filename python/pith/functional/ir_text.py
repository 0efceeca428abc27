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


def yielded(name: str, t: str, element: str) -> str:
    """The end of a body: ``%name`` of type ``t``, yielded as an ``element``.

    Example:
        >>> yielded("y", "f32", "f32")
        '    linalg.yield %y : f32\\n'
    """
    if element == t:
        return f"    linalg.yield %{name} : {element}\n"
    return f"    %narrow = arith.truncf %{name} : {t} to {element}\n    linalg.yield %narrow : {element}\n"
