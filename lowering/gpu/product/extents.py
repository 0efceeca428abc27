"""How big a product's tiles are: what was asked for, cut and rounded to what a body takes; warps; parts of k."""

from pith.dialect import encoding_of, shape_of

from .match import Product
from .menu import TileChoice


def sizes_of(product: Product, width: int) -> tuple[int, int, int, int]:
    """(batch, m, n, bytes of k), -1 for what only run time knows."""
    known: dict[str, int] = {}
    for view in product.views:
        for role, size in zip(view.roles, shape_of(view.value.type)):
            known[role] = max(size, known.get(role, -1))
    batch = 1
    for role in product.batch:
        batch *= max(known[role], 1)
    return batch, known["m"], known["n"], known["k"] * width if known["k"] >= 0 else -1


#: Multiples that the bodies' tiles are of, per role.
_MULTIPLES = {
    "fma": {"m": 16, "n": 16, "k": 4},
    "tf32": {"m": 16, "n": 8, "k": 8},
    "half": {"m": 16, "n": 8, "k": 16},
    "int8": {"m": 16, "n": 8, "k": 32},
}


#: Largest tiles: bytes along k, beyond which longer rows of shared memory gain nothing, and places of the output, 128
#: sums for each of 256 threads on tensor cores and 64 with FMAs (whose operands take more registers).
_MAX_K_BYTES, _MAX_PLACES = 256, {"fma": 128 * 128}


def steps_of(product: Product, choice: TileChoice, kind: str, width: int) -> dict[str, int]:
    """Positions a block owns per role: what was asked for, cut to what a block can hold."""
    steps = {"m": choice.m, "n": choice.n, "k": choice.k_bytes // width, **product.tile}
    steps["k"] = _cut(product, "k", steps["k"], _MAX_K_BYTES // width)
    while steps["m"] * steps["n"] > _MAX_PLACES.get(kind, 128 * 256):
        larger = max("mn", key=lambda role: steps[role])
        steps[larger] = _cut(product, larger, steps[larger], steps[larger] // 2)
    return {**steps, **{role: 1 for role in product.batch}}


def _cut(product: Product, role: str, step: int, most: int) -> int:
    """``step``, or the largest part of it up to ``most``; where every block of the role has a list, a divisor of it."""
    if step <= most:
        return step
    return most if product.grouped(role) is None else next(d for d in range(most, 0, -1) if step % d == 0)


def extent_of(product: Product, role: str, step: int, kind: str) -> int:
    """Places of a tile that a block owns ``step`` positions of: what the body takes."""
    multiple = _MULTIPLES[kind].get(role, 1)
    return -(-step // multiple) * multiple


def warps_of(m: int, n: int) -> tuple[int, int]:
    """How 8 warps at most split a tile nobody chose warps for: 4 if that leaves enough to do, square parts."""
    splits = [(d, a) for d in (1, 2, 4, 8) for a in (1, 2, 4, 8) if m % (16 * d) == 0 and n % (8 * a) == 0]
    wanted = 8 if m * n >= 128 * 128 else 4
    most = max(d * a for d, a in splits if d * a <= wanted)
    return min((s for s in splits if s[0] * s[1] == most), key=lambda s: m // s[0] + n // s[1])


#: Steps along k that a part of it has at least: filling the pipeline and adding the parts must not cost more.
_MIN_PART_STEPS, _MAX_SPLITS = 4, 16


def splits_of(product: Product, extents: dict[str, int], sms: int, asked: int) -> int:
    """Parts of k: as many as keep multiprocessors busy that would have no tile, where all sizes are known."""
    if product.listings or any(encoding_of(v.value.type) is not None for v in product.views):
        return 1
    if asked:
        return asked
    batch, m, n, k = sizes_of(product, 1)
    if min(m, n, k) < 1 or any(s < 0 for v in product.views for s in shape_of(v.value.type)):
        return 1
    blocks = batch * -(-m // extents["m"]) * -(-n // extents["n"])
    steps = -(-k // extents["k"])
    return max(1, min(sms // blocks, steps // _MIN_PART_STEPS, _MAX_SPLITS))
