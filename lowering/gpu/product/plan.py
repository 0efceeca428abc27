"""Decide how a product runs on a GPU: body, tile, stages, threads and shared memory, or why it cannot."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NoReturn

from pith._mlir import ir
from pith.dialect import encoding_of, shape_of
from pith.passes.analysis.tile_tables import dense_tiles, gpu_tables
from pith.passes.core import pass_error

from ...targets import CHIPS, Chip, GpuTarget
from ..structured.choose import Feed, feed_of, refusal
from ..structured.menu import cheaper, feed_menu, misfit
from ..structured.sparse_mma import SparseMmaBody
from ..structured.sparse_wgmma import SparseWgmmaBody, sparse_groups
from .bodies import Body, FmaBody
from .boxes import box_of
from .extents import extent_of, sizes_of, splits_of, steps_of, warps_of
from .match import ELEMENTS, Product, View
from .mbarriers import ROOM_BYTES
from .menu import FMA_MENU, MMA_MENU, WGMMA_MENU, TileChoice, best, fastest
from .mma import MmaBody
from .pipeline import pipeline_bytes
from .tiles import TileShape, micro_tiles
from .wgmma import WgmmaBody, gain_of, warpgroups_of, warps_for

#: Accumulators (32-bit registers) one thread may hold; 255 is the hardware's limit for everything.
MAX_ACCUMULATORS = 128
#: Attribute of a product: the tile to take, ``array<i64: m, n, k, warps down, warps across, stages>``; a seventh number
#: is that of the blocks that share a tile of the output.
TILE = "pith.gpu_tile"
#: Bytes of an element of tensor-core bodies.
_WIDTHS = {"half": 2, "tf32": 4, "int8": 1}
#: Stages when nobody asked for a number.
MAX_STAGES, MIN_STAGES = 4, 2


@dataclasses.dataclass(frozen=True)
class Plan:
    """How one product runs.

    Attributes:
        body: the dense tile body.
        stages: copies of its shared tiles.
        steps: positions a block owns per role, batch roles included.
        extents: places of a block's tile per role; more than the step where a group is smaller than a tile.
        shared_bytes: dynamic shared memory of a block.
        feeds: how encoded operands reach the body, ``lhs`` and ``rhs``; None for dense ones.
        splits: blocks that share a tile of the output, each with a part of k.
        boxes: layouts of the operands' tiles that the copy engine brings; None for others.
    """

    body: Body
    stages: int
    steps: dict[str, int]
    extents: dict[str, int]
    shared_bytes: int
    feeds: tuple[Feed | None, Feed | None] = (None, None)
    splits: int = 1
    boxes: tuple[TileShape | None, TileShape | None] = (None, None)

    def shapes(self, product: Product) -> list[list[TileShape]]:
        """The tiles of each operand."""
        return _shapes(product, self.body, self.boxes)

    @property
    def resident(self) -> int:
        """Blocks that a multiprocessor should hold, which bounds the registers of a thread.

        With 64 sums each, 256 threads that take 128 registers leave room for a second block, which computes while
        the first waits at its barrier. The assembler would take some 180.
        """
        sums = self.extents["m"] * self.extents["n"] // self.body.threads
        return 2 if self.body.threads == 256 and sums <= 64 else 1

    @property
    def note(self) -> str:
        """The plan in words: the tile, and how encoded operands reach it."""
        tile = " x ".join(str(self.extents[role]) for role in "mnk")
        fed = [f"{name} {feed.kind}: {feed.why}" for name, feed in zip(("lhs", "rhs"), self.feeds) if feed]
        shared = [f"{self.splits} blocks share a tile"] if self.splits > 1 else []
        boxed = [name for name, box in zip(("lhs", "rhs"), self.boxes) if box]
        copied = [f"{' and '.join(boxed)} in boxes"] if boxed else []
        return "; ".join([f"tile {tile}, {self.stages} stages", *copied, *shared, *fed])


def plan_product(product: Product, target: GpuTarget) -> Plan:
    """The :class:`Plan` of ``product``; a diagnostic and :class:`pith.PassError` when there is none."""
    check_storage(product)
    kind = _kind(product, target)
    width = product.lhs.value.type.element_type.width // 8
    sms, sizes = CHIPS[target.chip].sms, sizes_of(product, width)
    asked = asked_tile(product.op, width)
    feeds = _feeds(product, kind)
    if asked is None:
        feeds = (cheaper(feeds[0], kind, width, sizes, sms), cheaper(feeds[1], kind, width, sizes, sms))
    fast = (_fast(product.lhs, feeds[0], "m"), _fast(product.rhs, feeds[1], "n"))
    packed = any(feed is not None and feed.kind == "packed" for feed in feeds)
    gain = gain_of(CHIPS[target.chip], kind, fast) if not packed else 1.0
    menu = _menu(feeds, kind, width, gain)
    choice = asked or fastest(menu, _measured(product, target, feeds, sizes, width)) or best(menu, sizes, sms, gain)
    steps = steps_of(product, choice, kind, width)
    extents = {role: extent_of(product, role, step, kind) for role, step in steps.items()}
    steps = {role: step if product.grouped(role) else extents[role] for role, step in steps.items()}
    for feed in feeds:
        if feed is not None and (reason := misfit(feed, extents)):
            refuse(product, reason)
    if (extents["m"], extents["n"], extents["k"] * width) != (choice.m, choice.n, choice.k_bytes):
        choice = None
    body = _body(product, feeds, kind, extents, choice, fast, gain > 1, CHIPS[target.chip])
    boxes = _boxes(product, feeds, body, steps, target)
    stages, shared = _stages(product, feeds, body, boxes, choice, target)
    splits = splits_of(product, extents, sms, asked.splits if asked else 0)
    return Plan(body, stages, steps, extents, shared, feeds, splits, boxes)


def _measured(
    product: Product, target: GpuTarget, feeds: Sequence[Feed | None], sizes: tuple[int, int, int, int], width: int
) -> Mapping[tuple[int, ...], float]:
    """Measured seconds by tile of a product of dense matrices of known sizes."""
    if any(feeds) or product.listings or min(sizes) < 1:
        return {}
    batch, m, n, k_bytes = sizes
    return dense_tiles(gpu_tables(), target.chip, width, (batch * m, k_bytes // width, n))


def asked_tile(op: ir.OpView, width: int) -> TileChoice | None:
    """The tile that :data:`TILE` of an op asks for, if it has one."""
    if TILE not in op.operation.attributes:
        return None
    numbers = list(ir.DenseI64ArrayAttr(op.operation.attributes[TILE]))
    if len(numbers) not in (6, 7) or min(numbers) < 1 or numbers[5] < MIN_STAGES:
        pass_error(
            op, f"expects {TILE} to be [m, n, k, warps down, warps across, stages >= {MIN_STAGES}], got {numbers}"
        )
    m, n, k, down, across, stages, *splits = numbers
    if m % (16 * down) or n % (8 * across):
        pass_error(op, f"expects warps of {TILE} to own multiples of 16 x 8, got {m} x {n} for {down} x {across}")
    return TileChoice(m, n, k * width, (down, across), stages, *splits)


def _feeds(product: Product, kind: str) -> tuple[Feed | None, Feed | None]:
    """How each encoded operand is fed; a diagnostic where its format has no lowering."""
    out = []
    for view in (product.lhs, product.rhs):
        feed = feed_of(product, view, kind)
        if feed is None and encoding_of(view.value.type) is not None:
            refuse(product, *refusal(view))
        out.append(feed)
    return out[0], out[1]


def _menu(feeds: tuple[Feed | None, Feed | None], kind: str, width: int, gain: float) -> Sequence[TileChoice]:
    for feed in feeds:
        if feed is not None and (feed.skips or feed.kind == "packed"):
            return feed_menu(feed, kind, width)
    return FMA_MENU if kind == "fma" else (*WGMMA_MENU, *MMA_MENU) if gain > 1 else MMA_MENU


def check_storage(product: Product) -> None:
    """Refuse outputs that are not dense, and sizes nothing tells (the verifier keeps patterns off encoded operands)."""
    if encoding_of(product.out.value.type) is not None:
        refuse(product, "expects a dense output")
    if all(_hides_depth(view) for view in (product.lhs, product.rhs)):
        refuse(product, "expects a dense operand or a static size along the contracted dimension")


def _hides_depth(view: View) -> bool:
    """True when neither the type nor a buffer of ``view`` tells the size of the contracted dimension."""
    type_ = view.value.type
    return encoding_of(type_) is not None and shape_of(type_)[view.roles.index("k")] < 0


def _kind(product: Product, target: GpuTarget) -> str:
    """``fma``, ``tf32``, ``half`` or ``int8``."""
    lhs, rhs, out = (v.value.type.element_type for v in product.views)
    floats = (ir.F32Type, ir.F16Type, ir.BF16Type)
    if lhs == rhs and isinstance(lhs, floats):
        if not isinstance(out, floats):
            refuse(product, f"expects an f32, f16 or bf16 output, got {out}")
        if not isinstance(lhs, ir.F32Type):
            return "half"
        return "tf32" if target.tf32 else "fma"
    if lhs == rhs and isinstance(lhs, ir.IntegerType) and lhs.width == 8:
        if not (isinstance(out, ir.IntegerType) and out.width == 32):
            refuse(product, f"expects an i32 output, got {out}", "sum up in i32, and convert the result")
        return "int8"
    return refuse(product, f"expects both inputs f32, f16, bf16 or i8, got {lhs} and {rhs}", ELEMENTS)


def _body(
    product: Product,
    feeds: tuple[Feed | None, Feed | None],
    kind: str,
    extents: dict[str, int],
    choice: TileChoice | None,
    fast: tuple[str, str],
    groups: bool,
    chip: Chip,
) -> Body:
    """``groups``: warpgroups take the tile if it suits them."""
    m, n, k = (extents[r] for r in "mnk")
    if kind == "fma":
        _check_accumulators(product, m * n // 256)
        return FmaBody(m, n, k, fast)
    width = _WIDTHS[kind]
    grouped = warps_for(extents, fast, width, MAX_ACCUMULATORS) if groups and not choice else None
    warps = choice.warps if choice else grouped or warps_of(m, n)
    _check_accumulators(product, m * n // (32 * warps[0] * warps[1]))
    if groups and (split := warpgroups_of(extents, warps, fast, width)):
        return WgmmaBody(m, n, k, split, fast, width)
    for feed, other in zip(feeds, reversed(fast)):
        if feed is not None and feed.kind == "packed":
            split = sparse_groups(extents, feed.role, other, width, MAX_ACCUMULATORS) if chip.wgmma else None
            if split is not None:
                return SparseWgmmaBody(m, n, k, split, fast, width, sparse=feed.role)
            if extents[feed.role] % (16 * warps["mn".index(feed.role)]):
                refuse(product, f"expects warps to own multiples of 16 of {feed.role}, got {m} x {n} for {warps}")
            return SparseMmaBody(m, n, k, warps, fast, width, sparse=feed.role)
    return MmaBody(m, n, k, warps, fast, width)


def _fast(view: View, feed: Feed | None, role: str) -> str:
    """The role along which an operand's tile should be contiguous."""
    if feed is not None:
        return feed.fast
    return role if view.roles[-1] == role else "k"


def _check_accumulators(product: Product, count: int) -> None:
    if count > MAX_ACCUMULATORS:
        refuse(product, f"expects at most {MAX_ACCUMULATORS} accumulators per thread, its tile needs {count}")


def _shapes(product: Product, body: Body, boxes: Sequence[TileShape | None]) -> list[list[TileShape]]:
    """Tiles of the operands, those that come in boxes in the layout of these."""
    groups = body.layout(*(v.value.type.element_type for v in (product.lhs, product.rhs)))
    return [[box] if box else list(group) for group, box in zip(groups, boxes)]


def _boxes(
    product: Product,
    feeds: tuple[Feed | None, Feed | None],
    body: Body,
    steps: Mapping[str, int],
    target: GpuTarget,
) -> tuple[TileShape | None, TileShape | None]:
    """Which operands the copy engine brings: dense ones of tensor-core bodies, while k is visited in order."""
    if not CHIPS[target.chip].boxes or isinstance(body, FmaBody) or any(f is not None and f.skips for f in feeds):
        return None, None
    found = []
    for view, feed, group in zip((product.lhs, product.rhs), feeds, _shapes(product, body, (None, None))):
        found.append(box_of(product, view, group[0], steps) if feed is None else None)
    return found[0], found[1]


def _stages(
    product: Product,
    feeds: tuple[Feed | None, Feed | None],
    body: Body,
    boxes: tuple[TileShape | None, TileShape | None],
    choice: TileChoice | None,
    target: GpuTarget,
) -> tuple[int, int]:
    """(stages, bytes of shared memory): as many stages as leave room for a second block, two at least.

    A body that still reads the last step's tiles has a third one before there is room for a second block.
    """
    shapes = [shape for group in _shapes(product, body, boxes) for shape in group]
    room = target.max_shared_bytes - (ROOM_BYTES if any(boxes) else 0)
    listing = product.listing("k")
    steps = [listing.granularity] if listing else [f.split.width for f in feeds if f and f.split and f.skips]
    entries = micro_tiles(body.k, steps[0]) if steps else 0
    most = choice.stages if choice else MAX_STAGES

    def shared(stages: int) -> int:
        return max(pipeline_bytes(shapes, stages, entries), body.slab_shape().nbytes)

    least = MIN_STAGES + body.lag if shared(MIN_STAGES + body.lag) <= room else MIN_STAGES
    wanted = [s for s in range(most, least - 1, -1) if shared(s) <= room // 2]
    stages = max(wanted, default=least)
    if choice is not None and shared(most) <= room:
        stages = most
    if shared(stages) > room:
        refuse(product, f"needs {shared(stages)} bytes of shared memory, {target.chip} has {room}")
    return stages, shared(stages)


def refuse(product: Product, message: str, hint: str | None = None) -> NoReturn:
    """A diagnostic at the product's op."""
    pass_error(product.op, f"has no GPU lowering: {message}", hint)
