"""Kernels of nests with patterns: the rule of permutation-invariant axes asked, the IR compiled, both once."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ...compiler.kernel import Kernel
from ...errors import UnsupportedError
from ...lowering.isa import HOST, parse_isa
from ...runtime.artifact import Artifact
from ...runtime.cache import kernel_cache
from .ir import Program, program_source, rule_source
from .nest import Nest

_ENTRY = "einsum"


def kernel_of(program: Program, names: Mapping[str, str], where: str) -> Kernel:
    """The kernel of a program, compiled or from the cache.

    Args:
        names: what errors call every dimension.
    Errors: :class:`pith.UnsupportedError` naming the dimension with a pattern that may not be permuted, and why.
    """
    source = program_source(program)

    def make() -> Artifact:
        from ...compiler.build import build

        require_invariant(program.nest, names, where)
        return build(source, _ENTRY)

    key = {"source": source, "entry": _ENTRY, "path": "auto", "isa": HOST, "features": parse_isa(HOST).name}
    return Kernel(source, _ENTRY, "auto", kernel_cache().get_or_build(key, make))


def require_invariant(nest: Nest, names: Mapping[str, str], where: str) -> None:
    """Ask ``passes/analysis/pit_axes.py`` about every dimension that has a pattern.

    Errors: :class:`pith.UnsupportedError` naming the first that may not be permuted, and why.
    """
    from pith.passes.analysis.pit_axes import pit_axes

    from ...compiler.build import parse

    module = parse(rule_source(nest))
    function = module.body.operations[0]
    verdict = pit_axes(function.regions[0].blocks[0].operations[0])
    refused = {nest.dims[r.axis]: r.reason for r in verdict.refusals} if verdict is not None else {}
    for d in (d for p in nest.patterns for d in p.axes):
        if d in refused:
            reason = _named(refused[d], nest.dims, names)
            raise UnsupportedError(
                f"{names[d]!r} cannot have a pattern: its axis may not be permuted: {reason}",
                where=where,
                hint="put the pattern on another axis",
            )


def _named(reason: str, dims: tuple[str, ...], names: Mapping[str, str]) -> str:
    """A reason of the rule, with its d0, d1, ... as the user calls them."""
    return re.sub(r"\bd(\d+)\b", lambda m: names[dims[int(m.group(1))]], reason)
