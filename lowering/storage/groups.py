"""Which elements a chain of ``G:H`` levels stores, for many groups at once, as bits of a word.

An entry of a level takes ``size`` bits (that many elements lie below it); where it is present, or chosen, its lowest
bit is set. What is done to one group is done to all of them by arithmetic that carries out of no group.
"""

import dataclasses

from pith._mlir import arith, ir

from .bits import repeated, word


@dataclasses.dataclass(frozen=True)
class Groups:
    """One level: ``count`` groups of ``h`` entries of ``size`` bits side by side, of which ``g`` are stored."""

    g: int
    h: int
    size: int
    count: int

    @property
    def width(self) -> int:
        """Bits of a group."""
        return self.h * self.size

    @property
    def firsts(self) -> int:
        """The lowest bit of every group."""
        return repeated(1, self.width, self.count)

    @property
    def entries(self) -> int:
        """The lowest bit of every entry."""
        return repeated(1, self.size, self.h * self.count)

    def any(self, present: ir.Value) -> ir.Value:
        """The lowest bit of every group that has an entry."""
        reach = 1
        while reach < self.h:
            step = min(reach, self.h - reach)
            present = arith.ori(present, arith.shrui(present, word(step * self.size)))
            reach += step
        return arith.andi(present, word(self.firsts))

    def choose(self, present: ir.Value) -> tuple[ir.Value, ir.Value]:
        """The ``g`` lowest entries that are present, and the lowest others in places that are left; :meth:`any`.

        Round ``k`` gives a ``k``-th entry to groups with fewer. What is left of ``present`` beyond the ``k`` lowest
        entries tells which those are.
        """
        firsts, gaps = word(self.firsts), repeated((1 << self.size) - 2, self.size, self.h * self.count)
        chosen = left = present
        found = None
        for _ in range(self.g):
            more = self.any(left)
            found = more if found is None else found
            through = arith.ori(chosen, word(gaps)) if gaps else chosen  # what a carry runs through
            raised = arith.addi(through, arith.xori(firsts, more))
            chosen = arith.ori(chosen, arith.andi(raised, word(self.entries)) if gaps else raised)
            left = arith.andi(left, arith.subi(left, more))
        return arith.xori(chosen, left), found


def ones(starts: ir.Value, size: int) -> ir.Value:
    """``size`` ones from every bit on that is set; bits are set that far apart."""
    return starts if size == 1 else arith.subi(arith.shli(starts, word(size)), starts)
