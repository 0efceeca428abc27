"""Hypothesis strategies and slow, plain references shared by the tests of formats."""

from __future__ import annotations

import itertools
import math

import numpy as np
from hypothesis import strategies as st
from pith.formats import Format, Level, LevelExpr, buffer_specs
from pith.formats.masks import mask_level
from pith.formats.pack_digits import entry_end, level_coordinates, slot_limits
from pith.formats.prune import prune_array

DTYPES = ("float32", "float64", "float16", "bfloat16", "int8", "int32", "complex64", "bool")


@st.composite
def formats(draw, max_rank: int = 4, max_levels: int = 6):
    """Any legal format with small groups: every kind of level, in any order, over digits of any dimension."""
    rank = draw(st.integers(1, max_rank))
    exprs: list[LevelExpr] = []
    for d in range(rank):
        room = max_levels - len(exprs) - (rank - d)
        factors = draw(st.lists(st.integers(1, 4), max_size=min(2, max(0, room))))
        div = 1
        for f in factors:
            exprs.append(LevelExpr(d, div, f))
            div *= f
        exprs.append(LevelExpr(d, div))
    exprs = draw(st.permutations(exprs))
    levels: list[Level] = []
    for e in exprs:
        kinds = ["dense", "compressed", "loose_compressed", "bitmask"]
        if e.mod:
            kinds += ["nm"] * 3
        if levels and levels[-1].kind in ("compressed", "loose_compressed", "singleton"):
            kinds += ["singleton"] * 2
        kind = draw(st.sampled_from(kinds))
        if kind == "nm":
            levels.append(Level.nm(draw(st.integers(1, e.mod)), e.mod))
        elif kind in ("dense", "bitmask"):
            levels.append(Level(kind))
        else:
            levels.append(Level(kind, unique=draw(st.booleans()), ordered=draw(st.booleans())))
    widths = [draw(st.sampled_from((0, 16, 32, 64))) for _ in range(2)]
    return Format(rank, tuple(exprs), tuple(levels), *widths, draw(st.sampled_from((0, 2, 8, 16))))


@st.composite
def formats_and_tensors(draw, dtypes=DTYPES, **options):
    """A format and a tensor of a shape it divides, of any density; it need not obey the format."""
    fmt = draw(formats(**options))
    shape = tuple(div * draw(st.integers(0 if draw(st.integers(0, 9)) == 0 else 1, 3)) for div in fmt.divisors())
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return fmt, random_tensor(rng, shape, draw(st.sampled_from(dtypes)), draw(st.sampled_from((0, 0.1, 0.5, 1))))


@st.composite
def padded_formats_and_tensors(draw, dtypes=("float32", "float64", "int32"), **options):
    """A padded format and a tensor of any small shape that obeys it."""
    fmt = draw(formats(**options)).with_padding()
    shape = tuple(draw(st.integers(1, 3 * min(div, 6))) for div in fmt.divisors())
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = random_tensor(rng, shape, draw(st.sampled_from(dtypes)), draw(st.sampled_from((0, 0.1, 0.5, 1))))
    return fmt, prune_array(x, fmt)


def random_tensor(rng: np.random.Generator, shape, dtype: str, density: float) -> np.ndarray:
    """Values with several bits of mantissa, so that ties are rare, and exact zeros elsewhere."""
    import ml_dtypes

    kind = np.dtype(getattr(ml_dtypes, dtype)) if dtype == "bfloat16" else np.dtype(dtype)
    x = rng.uniform(-100, 100, shape)
    if kind.kind == "c":
        x = x + 1j * rng.uniform(-100, 100, shape)
    return np.where(rng.random(shape) < density, x, 0).astype(kind)


def reference_buffers(x: np.ndarray, fmt: Format) -> list[list]:
    """The storage contract, literally: one loop per level over parents and coordinates.

    Sub-byte coordinates are returned unpacked.
    """
    sizes = fmt.level_sizes(x.shape)
    points = sorted(
        (tuple(int(c) for c in level_coordinates([np.int64(i) for i in at], fmt)), x[at])
        for at in itertools.product(*map(range, x.shape))
        if x[at] != 0
    )
    parents = [points]  # the points below every position of the level above
    out: list[list] = []
    for i, (level, size) in enumerate(zip(fmt.levels, sizes)):
        children: list[list] = []
        loose = level.kind == "loose_compressed"
        positions, coordinates = [] if loose else [0], []
        for below in parents:
            begin = len(children)
            held = sorted({p[0][i] for p in below})
            by = {c: [p for p in below if p[0][i] == c] for c in held}
            if level.is_dense:
                children += [by.get(c, []) for c in range(size)]
            elif level.kind == "nm":
                spare = [c for c in range(size) if c not in by]
                chosen = sorted(held + spare[: level.g - len(held)])
                coordinates += chosen
                children += [by.get(c, []) for c in chosen]
            elif level.kind == "bitmask":
                coordinates += [
                    sum((c in by) << (c % 8) for c in range(w, min(w + 8, size))) for w in range(0, size, 8)
                ]
                children += by.values()
            else:  # an entry per tuple of the coordinates that tell entries apart
                end = entry_end(fmt, i) if level.kind != "singleton" else i
                keys = sorted({p[0][i : end + 1] for p in below})
                if i + 1 == mask_level(fmt):  # entries with the same bits are neighbours
                    masks = {k: sum(1 << p[0][i + 1] for p in below if p[0][i : end + 1] == k) for k in keys}
                    keys.sort(key=masks.__getitem__)
                coordinates += [k[0] for k in keys]
                children += [[p for p in below if p[0][i : end + 1] == k] for k in keys]
            positions += [begin, len(children)] if loose else [len(children)]
        parents = children
        out += [positions] * level.has_positions + [coordinates] * level.has_coordinates
    return [*out, [p[0][1] if p else 0 for p in parents]]


def buffers_as_entries(buffers: list[np.ndarray], fmt: Format) -> list[list]:
    """Packed buffers with sub-byte coordinates unpacked bit by bit, to compare with :func:`reference_buffers`."""
    out = []
    for spec, b in zip(buffer_specs(fmt), buffers):
        if spec.bits < 8 and spec.role == "coordinates":
            out.append([(int(w) >> s) % 2**spec.bits for w in b for s in range(0, 8, spec.bits)])
        else:
            out.append(b.tolist())
    return [*out, buffers[-1].tolist()]


def can_be_written(fmt: Format) -> bool:
    """Whether ``#pith.format`` can say it: MLIR folds ``d mod 1``, and packed buffers have one width."""
    packed = {b.storage_bits for b in buffer_specs(fmt) if b.role != "positions" and fmt.levels[b.level].kind == "nm"}
    bitmask = any(level.kind == "bitmask" for level in fmt.levels)
    return all(e.mod != 1 for e in fmt.exprs) and len(packed | ({8} if bitmask else set())) <= 1


def broken_elements(x: np.ndarray, fmt: Format) -> dict[tuple[int, ...], set[int]]:
    """Non-zeros that do not fit -> the levels they do not fit, by counting the groups one by one."""
    limits = slot_limits(fmt)
    elements = {
        at: tuple(int(c) for c in level_coordinates([np.int64(i) for i in at], fmt))
        for at in itertools.product(*map(range, x.shape))
        if x[at] != 0
    }
    out: dict[tuple[int, ...], set[int]] = {}
    for level, limit in limits.items():
        for at, lvl in elements.items():
            group = sorted({other[level] for other in elements.values() if other[:level] == lvl[:level]})
            if group.index(lvl[level]) >= limit:
                out.setdefault(at, set()).add(level)
    return out


def reference_prune(x: np.ndarray, fmt: Format) -> np.ndarray:
    """Rank by rank, lowest first: every group in turn keeps its largest coordinates."""
    out = x.copy()
    lvls = {
        at: tuple(int(c) for c in level_coordinates([np.int64(i) for i in at], fmt))
        for at in itertools.product(*map(range, x.shape))
    }
    for level, limit in sorted(slot_limits(fmt).items(), reverse=True):
        groups: dict[tuple, dict[int, list]] = {}
        for at, lvl in lvls.items():
            groups.setdefault(lvl[:level], {}).setdefault(lvl[level], []).append(at)
        for group in groups.values():
            scores = {c: math.fsum(float(abs(complex(out[at]))) for at in members) for c, members in group.items()}
            for c in sorted(scores, key=lambda c: (-scores[c], c))[limit:]:
                for at in group[c]:
                    out[at] = 0
    return out
