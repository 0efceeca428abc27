"""IR text that names the buffers of a stored tensor."""

from __future__ import annotations

import dataclasses

from ..formats import Format, buffer_specs


@dataclasses.dataclass(frozen=True)
class StoredText:
    """The buffers of a stored tensor as text: arguments of a function, operands and results of ``pith.assemble``.

    Attributes:
        names, types: of the buffers, in the order of the storage contract.
        order: their positions in the order of the op, which has a group per element type.
        counts: buffers per group.
    """

    names: tuple[str, ...]
    types: tuple[str, ...]
    order: tuple[int, ...]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, fmt: Format) -> StoredText:
        """Those of a format.

        >>> StoredText.of(Format.csr()).arguments
        '%positions1: tensor<?xi32>, %coordinates1: tensor<?xi32>, '
        """
        specs = buffer_specs(fmt)
        groups = [_group(fmt, s.role, s.level) for s in specs]
        names = tuple(f"%{s.role}{s.level}" for s in specs)
        types = tuple(f"tensor<?x{'index' if s.native else f'i{s.storage_bits}'}>" for s in specs)
        order = tuple(sorted(range(len(specs)), key=groups.__getitem__))
        return cls(names, types, order, tuple(groups.count(g) for g in range(3)))

    @property
    def arguments(self) -> str:
        """Of a function."""
        return "".join(f"{name}: {type_}, " for name, type_ in zip(self.names, self.types))

    def assemble(self, values: str, sums: str, encoded: str) -> str:
        """``%s``: the tensor of these buffers and ``values``."""
        operands = ", ".join([*(self.names[i] for i in self.order), values, "%m", "%n"])
        types = ", ".join([*(self.types[i] for i in self.order), sums, "index", "index"])
        segments = commas(*self.counts, 1, 2)
        return f"""  %s = "pith.assemble"({operands}) {{operandSegmentSizes = array<i32: {segments}>}}
      : ({types}) -> {encoded}
"""

    def disassemble(self, values: str, encoded: str) -> str:
        """``%w``: the values of ``%r``, of type ``values``."""
        results = ", ".join([*(f"%r{i}" for i in self.order), "%w"])
        types = ", ".join([*(self.types[i] for i in self.order), values])
        return f"""  {results} = "pith.disassemble"(%r) {{resultSegmentSizes = array<i32: {commas(*self.counts, 1)}>}}
      : ({encoded}) -> ({types})
"""


def commas(*numbers: int) -> str:
    """The numbers as a list in IR.

    >>> commas(1, 0, 2)
    '1, 0, 2'
    """
    return ", ".join(map(str, numbers))


def _group(fmt: Format, role: str, level: int) -> int:
    """Operand group of ``pith.assemble``: positions, coordinates, packed."""
    if role == "positions":
        return 0
    return 2 if fmt.levels[level].kind in ("nm", "bitmask") else 1
