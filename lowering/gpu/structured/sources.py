"""Make the source that a :class:`Feed` asks for, and the axis of k that goes with it."""

from collections.abc import Mapping, Sequence

from pith._mlir import ir
from pith.formats import buffer_specs

from ... import builder as b
from ...builder import Index
from ...sparse import levels
from ..product.encoded import EncodedSource
from ..product.staging import Source
from ..product.tiles import Axis
from .choose import Feed
from .copied import CopiedSource
from .packed import PackedSource
from .scanned import ScannedSource
from .scattered import ScatteredSource
from .stored import Stored
from .stream import stream_axis

_STREAMED = {"packed": PackedSource, "copied": CopiedSource, "scattered": ScatteredSource}


def source_of(feed: Feed, buffers: Sequence[ir.Value], sizes: Mapping[str, Index]) -> Source:
    """The source of an encoded operand in ``buffers``: metadata first, values last."""
    fmt = feed.format
    extents = [sizes[role] for role in feed.view.roles]
    level_sizes = tuple(e.mod or b.ceildiv(extents[e.dim], e.div) for e in fmt.exprs)
    metadata = dict(zip(((s.level, s.role) for s in buffer_specs(fmt)), buffers))
    storage = levels.Storage(fmt, level_sizes, metadata, buffers[-1])
    if feed.split is not None:
        return _STREAMED[feed.kind](Stored(storage, feed.split), feed.role)
    return (ScannedSource if feed.kind == "scanned" else EncodedSource)(storage, feed.view.roles)


def streamed(axes: Mapping[str, Axis], sources: Sequence[Source]) -> Mapping[str, Axis]:
    """``axes`` with k following the stream of the source that skips what its rows do not hold, if one does."""
    for source in sources:
        if isinstance(source, PackedSource | CopiedSource | ScatteredSource) and source.stored.split.skips:
            k = axes["k"]
            return {**axes, "k": stream_axis(source.stored, axes[source.role].base, k.extent, k.size)}
    return axes
