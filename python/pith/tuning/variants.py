"""The ways to run a product: pith's kernels on what is stored, and dense products of an unpacked copy."""

from __future__ import annotations

import dataclasses

from pith.lowering.isa import parse_isa
from pith.lowering.panel.paired import in_pairs
from pith.lowering.panel.roles import Roles
from pith.lowering.panel.strips import in_strips
from pith.lowering.panel.variant import ACCUMULATORS, STRIP_BYTES, default_variant, dense_variant, size_class
from pith.lowering.panel.variant import Variant as Tile
from pith.lowering.tiled.choice import dots_pay

from ..errors import UnsupportedError
from ..runtime.cpu import cpu_features
from .problem import ELEMENT_BYTES, Problem

#: Element types of the panel generator -> bytes of what its registers hold.
PANEL_ELEMENTS = {"f32": 4, "f64": 8, "f16": 4, "bf16": 4, "i8": 4, "i16": 4, "i32": 4, "i64": 8}

#: Element type -> the wider one whose dense product is exact enough to stand in: f32 holds bf16 and f16 and
#: sums of 1024 products of i8, f64 holds every sum of products of i16.
WIDER = {"f16": "f32", "bf16": "f32", "i8": "f32", "i16": "f64"}

#: Density from which strips need no comparison. CSR of 50 and 70 % zeros is 1.14 to 1.45x as fast with them, of 80 %
#: 1.1x, of 95 % slower (Zen 3, 32 and 64 columns, 2026-11).
_STRIPS_PAY = 0.25


#: Dense products of an unpacked copy, by the library and by pith.
LIBRARY, OWN = "dense:library", "dense:own"


#: Columns that fill a vector of any instruction set: with fewer, operands on the right are no packed panels.
_LANES = 16


@dataclasses.dataclass(frozen=True)
class Variant:
    """One way to run a product.

    Attributes:
        name: ``dense:library`` (the library's product of the unpacked operand), ``dense:library:f32`` (of operands
            widened to f32), ``dense:own`` (pith's dense kernel on the unpacked operand), ``tiles`` (AMX), ``dots`` (dot
            instructions), or a register tile of the panel generator, ``lanes=64,rows=1``: the text of the attribute
            ``pith.variant``.
        family: variants whose times one model can tell: of the library ``dense``, ``dense:f32``; ``tiles``, ``dots``,
            and of the panel generator ``panel``, ``whole`` (every element is stored, row by row), ``column`` (one
            column: vectors run over rows or stored elements), ``scatter`` (a row's results cannot stay in registers),
            ``pairs`` (of 16 bits, by dot instructions).
        lanes: columns computed at once.
        rows: rows of the result computed at once.
        strip: contracted coordinates per pass over the rows; 0: all.
    """

    name: str
    family: str
    lanes: int = 1
    rows: int = 1
    strip: int = 0

    @property
    def is_dense(self) -> bool:
        """True for products of an unpacked copy."""
        return self.name.startswith("dense")

    @property
    def is_library(self) -> bool:
        """True for the library's products."""
        return self.family.startswith("dense")

    @property
    def model_names(self) -> tuple[str, ...]:
        """What a model of its time is called, the best first.

        Pith's dense kernel takes as long as the library's if need be, pairs as long as as many vectors of other panels.
        """
        return {"whole": ("whole", "dense"), "pairs": ("pairs", "panel")}.get(self.family, (self.family,))

    @property
    def attribute(self) -> str | None:
        """The text of ``pith.variant``; None leaves the choice to the compiler."""
        return self.name if "=" in self.name else None


def dense_variants(problem: Problem) -> tuple[Variant, ...]:
    """Products of an unpacked copy: by pith's dense kernel, and by the library, of the element type and widened.

    Semantics: of an operand that is stored like that copy only the library's. Its 16-bit floats as they are need torch;
        8-bit integers as they are need torch and VNNI: without it oneDNN saturates sums of two products.
    """
    wider = WIDER.get(problem.element)
    out = [Variant(f"{LIBRARY}:{wider}", f"dense:{wider}")] if wider else []
    if wider is None or (problem.torch and _has_native_product(problem.element)):
        out.append(Variant(LIBRARY, "dense"))
    if not problem.is_plain:
        out.append(own_dense(problem))
    return tuple(out)


def own_dense(problem: Problem) -> Variant:
    """Pith's dense kernel on the unpacked operand."""
    return dataclasses.replace(sparse_variants(problem.unpacked)[0], name=OWN)


def sparse_variants(problem: Problem) -> tuple[Variant, ...]:
    """Pith's own kernels for a problem, best guess first."""
    isa = parse_isa(problem.isa)
    if _is_whole(problem):
        tile = dense_variant(problem.from_left.columns, PANEL_ELEMENTS[problem.element], isa)
        return (_panel(tile, problem),)
    roles = Roles.of(problem.format, problem.kept_dim)
    if roles.unit and ((isa.amx_bf16 and problem.element == "bf16") or (isa.amx_int8 and problem.element == "i8")):
        return (Variant("tiles", "tiles"),)
    size = PANEL_ELEMENTS[problem.element]
    guess = default_variant(roles, problem.columns, size, isa)
    if problem.columns == 1:
        return (_panel(guess, problem),)

    def tile_of(lanes: int) -> Tile:
        tile = in_strips(Tile(lanes, guess.rows), roles, problem.density, size, isa)
        return tile if tile.strip < problem.contracted else dataclasses.replace(tile, strip=0)

    vector = max(1, isa.vector_bytes // size)
    widest = ACCUMULATORS[isa.vector_registers] // guess.rows * vector
    others = [vector * count for count in (1, 2, 4, 8) if vector * count <= min(widest, 2 * problem.columns)]
    tiles = [tile_of(lanes) for lanes in (guess.lanes, *others)]
    if tiles[0].strip and problem.density < _STRIPS_PAY:
        tiles.append(guess)
    panels = tuple(_panel(tile, problem) for tile in dict.fromkeys(tiles))
    pays = bool(roles.unit) and dots_pay(problem.format, problem.kept_dim, problem.columns, problem.element, isa)
    return (Variant("dots", "dots"), *panels) if pays else panels


def _panel(tile: Tile, problem: Problem) -> Variant:
    """A register tile for a problem; strips that the generator cuts by itself are those of its panel."""
    if _is_whole(problem):
        return Variant(str(tile), "whole", tile.lanes, tile.rows)
    roles = Roles.of(problem.format, problem.kept_dim)
    family = "scatter" if not roles.direct else "column" if problem.columns == 1 else "panel"
    if _in_pairs(tile, roles, problem):
        family = "pairs"
    strip = tile.strip
    if not strip and roles.has_strips:
        strip = max(1, STRIP_BYTES // (tile.lanes * panel_bytes(family, problem.element)))
    return Variant(str(tile), family, tile.lanes, tile.rows, strip=strip)


def _in_pairs(tile: Tile, roles: Roles, problem: Problem) -> bool:
    """True where a tile multiplies stored elements in pairs."""
    elements = problem.element, problem.element, "f32"
    return in_pairs(roles, elements, tile.lanes, size_class(roles, problem.contracted), parse_isa(problem.isa))


def panel_bytes(family: str, element: str) -> int:
    """Bytes of an element of a panel.

    >>> panel_bytes("panel", "bf16"), panel_bytes("pairs", "bf16")
    (4, 2)
    """
    return ELEMENT_BYTES[element] if family == "pairs" else PANEL_ELEMENTS[element]


def named_variants(problem: Problem, name: str) -> tuple[Variant, ...]:
    """What a user's choice leaves to choose from: ``auto``, ``dense``, ``sparse``, or one variant by its name.

    Errors: :class:`pith.UnsupportedError` naming those there are.
    """
    if not isinstance(name, str):
        raise no_name(name)
    own, dense = sparse_variants(problem), dense_variants(problem)
    groups = {"auto": (*dense, *own), "dense": dense, "sparse": own}
    chosen = groups.get(name) or tuple(v for v in (*dense, *own) if v.name == name)
    if name == OWN:
        chosen = (own_dense(problem),)
    if not chosen and "=" in name:
        chosen = (_panel(Tile.parse(name), problem),)
    if chosen:
        return chosen
    names = ", ".join(dict.fromkeys([*groups, *(v.name for v in groups["auto"])]))
    raise UnsupportedError(f"no variant {name!r} for {problem.element} in this format", hint=f"one of {names}")


def no_name(variant: object) -> UnsupportedError:
    """The error of a variant that is no string."""
    return UnsupportedError(f"a variant is named by a string, got {variant!r}", hint="auto, dense or sparse")


def _is_whole(problem: Problem) -> bool:
    """True where the kernel of dense products multiplies the operand as it is."""
    panels = problem.side == "left" or problem.rows >= _LANES
    return problem.is_plain and problem.element in ("f32", "f64") and panels


def _has_native_product(element: str) -> bool:
    return element in ("f16", "bf16") or (element == "i8" and bool({"avx512_vnni", "avx_vnni"} & cpu_features()))
