"""Tiles of warpgroups: what descriptors say finds every element where the tile has it.

The canonical layouts are written down here from the PTX ISA's table ("Shared Memory Matrix Layout"), as CuTe has them:
sums of coordinates times strides, then ``Swizzle<bits, 4, 3>``. Nothing of the lowering's arithmetic is used for them.
"""

import pytest
from banks import write_conflicts
from pith._mlir import ir
from pith.dialect import make_context
from pith.lowering.gpu.product.menu import WGMMA_MENU, best, predicted_cycles
from pith.lowering.gpu.product.plan import MAX_ACCUMULATORS
from pith.lowering.gpu.product.wgmma import (
    DEPTH_BYTES,
    ROWS,
    WgmmaBody,
    bytes_to,
    descriptor_bits,
    warpgroups_of,
    warps_for,
)
from pith.programs.chips import CHIPS

#: Number of the swizzle in a descriptor -> (chunks of 16 bytes in a row, bits of the swizzle).
MODES = {1: (8, 3), 2: (4, 2), 3: (2, 1)}


@pytest.fixture(autouse=True, scope="module")
def context():
    """For element types only: making one takes longer than most of these tests."""
    with make_context(), ir.Location.unknown():
        yield


def element_of(width):
    return {1: ir.IntegerType.get_signless(8), 2: ir.F16Type.get(), 4: ir.F32Type.get()}[width]


def described(bits, start, place, k, width, mn):
    """Byte address of an element of the matrix whose descriptor is ``bits`` with its first address at ``start``."""
    leading, stride = (bits >> 16 & 0x3FFF) << 4, (bits >> 32 & 0x3FFF) << 4
    chunks, swizzle = MODES[bits >> 62]
    t = 16 // width
    if mn:  # ((T, w, m), (8, k)) : ((1, T, LBO), (w T, SBO))
        strides = [(place % t, width), (place // t % chunks, 16), (place // t // chunks, leading)]
        strides += [(k % 8, chunks * 16), (k // 8, stride)]
    else:  # ((8, m), (T, 2 k)) : ((w T, SBO), (1, T))
        strides = [(place % 8, chunks * 16), (place // 8, stride), (k % t, width), (k // t, 16)]
    address = start + sum(coordinate * step for coordinate, step in strides)
    return address ^ (address >> 7 & (1 << swizzle) - 1) << 4


BODIES = [
    *(
        WgmmaBody(c.m, c.n, c.k_bytes // width, (c.warps[0] // 4, c.warps[1]), fast, width)
        for c in WGMMA_MENU
        for fast, width in [(("k", "n"), 2), (("m", "k"), 2), (("k", "k"), 4), (("k", "k"), 1)]
        if warpgroups_of({"m": c.m, "n": c.n, "k": c.k_bytes // width}, c.warps, fast, width)
    ),
    *(WgmmaBody(128, n, k, (1, 1), ("m", "n")) for n in (16, 48, 96) for k in (16, 32, 64)),
    *(WgmmaBody(128, n, k, (1, 1), ("k", "k")) for n in (8, 48, 96) for k in (16, 32, 64)),
    WgmmaBody(64, 128, 64, (1, 2), ("m", "n")),
]


@pytest.mark.parametrize("body", BODIES, ids=str)
def test_descriptors_find_elements(body):
    element = element_of(body.width)
    depth = DEPTH_BYTES // body.width
    for (shape,), role, part in zip(body.layout(element, element), "mn", (ROWS, body.columns)):
        assert shape.nbytes == body.k * shape.extent(role) * body.width  # nothing is padded, nothing shared
        bits, mn = descriptor_bits(shape), shape.roles[1] == role
        for first in range(0, shape.extent(role), part):
            for k0 in range(0, body.k, depth):
                start = bytes_to(shape, first, k0)
                assert start % 16 == 0
                for place in (0, 1, 7, 8, part // 2 + 3, part - 1):
                    for k in range(depth):
                        at = {role: first + place, "k": k0 + k}
                        expected = shape.address(*(at[r] for r in shape.roles))
                        assert described(bits, start, place, k, body.width, mn) == expected


@pytest.mark.parametrize("body", BODIES, ids=str)
def test_writers_meet_no_bank_twice(body):
    """Neighbouring threads write neighbouring chunks of rows; cut into narrow panels, two more turns."""
    for (shape,) in body.layout(*[element_of(body.width)] * 2):
        assert write_conflicts(shape) <= (2 if shape.panels > 1 and shape.pitch * shape.width < 128 else 0)


def test_a_descriptor_can_be_wrong():
    """The offset to the next 8 rows as if they were narrower: the 9th row is found elsewhere."""
    ((shape,), _) = WgmmaBody(64, 64, 64, (1, 1), ("k", "k")).layout(element_of(2), element_of(2))
    bits = descriptor_bits(shape)
    narrow = bits - (32 << 32)
    assert described(bits, 0, 8, 0, 2, False) == shape.address(8, 0) != described(narrow, 0, 8, 0, 2, False)


@pytest.mark.parametrize("choice", WGMMA_MENU, ids=str)
def test_the_menu_fits(choice):
    """Registers for sums, shared memory for copies and for the slab that sums go through."""
    for width in (1, 2, 4):
        extents = {"m": choice.m, "n": choice.n, "k": choice.k_bytes // width}
        assert warpgroups_of(extents, choice.warps, ("k", "k"), width) is not None
    body = WgmmaBody(choice.m, choice.n, choice.k_bytes // 2, (choice.warps[0] // 4, choice.warps[1]))
    assert choice.m * choice.n // choice.threads <= MAX_ACCUMULATORS
    copies = choice.stages * (choice.m + choice.n) * choice.k_bytes
    assert body.slab_shape().nbytes <= copies <= CHIPS["sm_90a"].max_shared_bytes
    rows = [body.slab_row(slab, row) for slab in range(body.slabs) for row in range(body.slab_rows)]
    assert sorted(rows) == list(range(choice.m))


def test_large_products_go_to_warpgroups():
    gain = 1 / CHIPS["sm_90a"].mma_share
    large = best(WGMMA_MENU, (1, 8192, 8192, 8192), 132, gain)
    assert (large.m * large.n, large.suits_warpgroups) == (128 * 256, True)
    assert predicted_cycles(large, (1, 4096, 4096, 4096), 132, gain) < predicted_cycles(
        large, (1, 4096, 4096, 4096), 132
    )


def test_what_warpgroups_do_not_take():
    tile = {"m": 128, "n": 128, "k": 64}
    assert warpgroups_of(tile, (2, 2), ("k", "k"), 2) is None  # 64 rows are four warps'
    assert warpgroups_of({**tile, "k": 128}, (4, 1), ("k", "k"), 2) is None  # rows of 256 bytes
    assert warpgroups_of({**tile, "n": 24}, (4, 1), ("k", "n"), 2) is None  # rows of 48 bytes across k
    assert warpgroups_of({**tile, "n": 24}, (4, 1), ("k", "k"), 2) == (1, 1)
    assert warpgroups_of({**tile, "n": 40}, (4, 1), ("k", "k"), 1) is None  # no such instruction for bytes
    assert warps_for({**tile, "n": 264}, ("k", "k"), 2, 128) is None  # more than 128 sums, and than 256 columns
    assert warps_for({**tile, "n": 256}, ("k", "k"), 2, 128) == (8, 1)
