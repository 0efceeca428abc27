"""Ops that find run-time patterns in tensors: ``detect``, ``detect_by``, ``topk``, ``sample``."""

import math
from collections.abc import Sequence

from pith._mlir import ext, ir

from .buffer import BufferAttr
from .diagnostics import require, verifier
from .fields import I64Array, dense_type, i64_array, read_bool, read_i64s, require_distinct_dims
from .formats import shape_of
from .pattern import PatternShape, PatternType
from .pith import Pith

#: Attributes a detection may carry: the list is sorted; integers have no sign; how long the list may get.
DETERMINISTIC, UNSIGNED, BUFFER = "pith.deterministic", "pith.unsigned", "pith.buffer"


class DetectOp(Pith.Operation, name="detect", traits=[ext.Pure]):
    """List the micro-tiles of a tensor that hold anything.

    Shapes: source: a ranked tensor of floats or integers without an encoding; result: a pattern
        whose axis i is dimension ``axes[i]`` of the source, of its size, with ``granularity[i]``.
    Semantics: a micro-tile spans ``granularity`` elements along ``axes`` and everything along
        the other dimensions. It is listed when it holds an element whose magnitude is not
        below or equal to ``threshold`` (so NaN counts). The list has no order.
    Options: discardable attributes. ``pith.deterministic = true``: the list is in the order of the
        source's storage. ``pith.unsigned = true``: integers have no sign. ``pith.buffer =
        #pith.buffer<capacity, "grow" | "error", "global">``: with ``"error"`` a longer list fails a
        ``cf.assert``; with ``"grow"`` (the default) the capacity is where the list starts to grow.
    Errors: "expects source without an encoding", "expects float or integer elements", "expects at
        least one axis", "expects axes to be dimensions of source", "expects distinct axes",
        "expects one granularity per axis", "expects a granularity >= 1", "expects threshold to be
        an f64", "expects threshold >= 0", "expects result type", "expects pith.buffer to grow or to be
        an error".
    Source: online detection of PIT, SOSP 2023.
    Example:
        ``%p = "pith.detect"(%x) {axes = array<i64: 0>, granularity = array<i64: 1>, threshold = 0.0 : f64}
          : (tensor<128x64xf32>) -> !pith.pattern<[128], [1]>``
    """

    result: ext.Result[PatternType]
    source: ext.Operand[ir.RankedTensorType]
    axes: I64Array
    granularity: I64Array
    threshold: ir.FloatAttr

    @classmethod
    def build(
        cls,
        source: ir.Value,
        axes: Sequence[int],
        granularity: Sequence[int],
        threshold: float = 0.0,
        *,
        loc=None,
        ip=None,
    ) -> "DetectOp":
        """List the micro-tiles of ``source`` along ``axes`` that hold a magnitude above ``threshold``."""
        type_ = _detected_type(source, axes, granularity)
        limit = ir.FloatAttr.get(ir.F64Type.get(), threshold, loc=ir.Location.unknown())
        return cls(type_, source, i64_array(axes), i64_array(granularity), limit, loc=loc, ip=ip)

    @verifier
    def verify_invariants(self) -> None:
        """The source and the pattern of its axes; a threshold that is an f64, not NaN and not negative."""
        _require_detection(self)
        type_, limit = self.threshold.type, self.threshold.value
        require(isinstance(type_, ir.F64Type), "expects threshold to be an f64, got {}", self.threshold)
        require(not math.isnan(limit) and limit >= 0, "expects threshold >= 0, got {}", limit)


class DetectByOp(Pith.Operation, name="detect_by", traits=[ext.Pure]):
    """``pith.detect`` with a threshold known at run time, or with one per channel.

    Shapes: source and result as of ``pith.detect``; threshold: an ``f64``, or a 1-D tensor of floats with
        one entry per element of the source's dimension ``channel[0]``; ``channel`` is empty for an ``f64``.
    Semantics: those of ``pith.detect``, where an element is compared with the threshold of its channel.
        Thresholds below zero and NaN count as zero. The options are those of ``pith.detect``.
    Errors: those of ``pith.detect``, "expects a threshold of type f64 or a 1-D tensor of floats", "expects
        channel to be", "expects one threshold per channel".
    Source: online detection of PIT, SOSP 2023; thresholds per channel as in activation pruning.
    Example:
        ``%p = "pith.detect_by"(%x, %t) {axes = array<i64: 0>, granularity = array<i64: 1>, channel = array<i64: 1>}
          : (tensor<128x64xf32>, tensor<64xf32>) -> !pith.pattern<[128], [1]>``
    """

    result: ext.Result[PatternType]
    source: ext.Operand[ir.RankedTensorType]
    threshold: ext.Operand[ir.F64Type | ir.RankedTensorType]
    axes: I64Array
    granularity: I64Array
    channel: I64Array

    @classmethod
    def build(
        cls,
        source: ir.Value,
        threshold: ir.Value,
        axes: Sequence[int],
        granularity: Sequence[int],
        channel: int | None = None,
        *,
        loc=None,
        ip=None,
    ) -> "DetectByOp":
        """List the micro-tiles of ``source`` that hold a magnitude above ``threshold`` (of their ``channel``)."""
        type_ = _detected_type(source, axes, granularity)
        dims = i64_array([] if channel is None else [channel])
        return cls(type_, source, threshold, i64_array(axes), i64_array(granularity), dims, loc=loc, ip=ip)

    @verifier
    def verify_invariants(self) -> None:
        """The source and the pattern of its axes; one threshold, or one per element of the named dimension."""
        _require_detection(self)
        channel, type_ = read_i64s(self, "channel"), self.threshold.type
        if isinstance(type_, ir.F64Type):
            require(not channel, "expects channel to be empty for one threshold, got {}", list(channel))
            return
        thresholds = dense_type(type_, "threshold")
        floats = thresholds.rank == 1 and isinstance(thresholds.element_type, ir.FloatType)
        require(floats, "expects a threshold of type f64 or a 1-D tensor of floats, got {}", type_)
        shape = shape_of(self.source.type)
        named = len(channel) == 1 and 0 <= channel[0] < len(shape)
        require(named, "expects channel to be one dimension of source, got {}", list(channel))
        size, given = shape[channel[0]], shape_of(thresholds)[0]
        require(-1 in (size, given) or size == given, "expects one threshold per channel ({}), got {}", size, given)


class TopkOp(Pith.Operation, name="topk", traits=[ext.Pure]):
    """List the k largest entries of every row.

    Shapes: scores: a tensor of floats or integers of rank 1 (one row) or 2, without an encoding; k: an
        ``index``; result: a pattern over the dimensions of scores, of granularity 1.
    Semantics: k entries of every row are listed (all of them where a row is shorter): the largest, NaN
        counting as larger than all numbers; of equal ones the first.
    Errors: "expects scores without an encoding", "expects scores of rank 1 or 2", "expects float or
        integer elements", "expects result type".
    Source: top-k gating of mixtures of experts; dynamic activation sparsity.
    Example: ``%p = "pith.topk"(%s, %k) : (tensor<?x64xf32>, index) -> !pith.pattern<[-1, 64], [1, 1]>``
    """

    result: ext.Result[PatternType]
    scores: ext.Operand[ir.RankedTensorType]
    k: ext.Operand[ir.IndexType]

    @classmethod
    def build(cls, scores: ir.Value, k: ir.Value, *, loc=None, ip=None) -> "TopkOp":
        """List the ``k`` largest of every row of ``scores``."""
        shape = shape_of(scores.type)
        return cls(PatternType.from_shape(shape, [1] * len(shape)), scores, k, loc=loc, ip=ip)

    @verifier
    def verify_invariants(self) -> None:
        """Scores of rank 1 or 2, and a pattern of granularity 1 over their dimensions."""
        scores = dense_type(self.scores.type, "scores")
        require(scores.rank in (1, 2), "expects scores of rank 1 or 2, got {}", scores)
        _require_numeric(scores)
        require_result(self, PatternShape(tuple(shape_of(scores)), (1,) * scores.rank))


class SampleOp(Pith.Operation, name="sample", traits=[ext.Pure]):
    """Estimate, for several sizes of micro-tiles, the share of them that is empty.

    Shapes: source: a matrix of floats or integers without an encoding; tiles: ``tensor<Cx2xi32>``, rows and
        columns of every candidate; threshold: an ``f64``; windows: an ``index``; result: ``tensor<Cxf64>``.
    Semantics: about ``windows`` windows of 32 by 64 elements are read, spread evenly over the source and the
        same in every run, and the candidates' micro-tiles in them are counted. Of candidates larger than a
        window, twice as many micro-tiles are looked at themselves. Empty is what ``pith.detect_by`` does not list;
        1.0 where there is nothing.
    Errors: "expects source without an encoding", "expects source to be a matrix", "expects float or integer
        elements", "expects tiles to be a tensor of i32 with 2 columns", "expects result type".
    Source: online sampling of sparsity in PIT, SOSP 2023.
    Example: ``%s = "pith.sample"(%x, %t, %limit, %n)
      : (tensor<?x?xf32>, tensor<6x2xi32>, f64, index) -> tensor<6xf64>``
    """

    result: ext.Result[ir.RankedTensorType]
    source: ext.Operand[ir.RankedTensorType]
    tiles: ext.Operand[ir.RankedTensorType]
    threshold: ext.Operand[ir.F64Type]
    windows: ext.Operand[ir.IndexType]

    @verifier
    def verify_invariants(self) -> None:
        """A matrix, pairs of extents, and one f64 per pair."""
        source, tiles = dense_type(self.source.type, "source"), dense_type(self.tiles.type, "tiles")
        require(source.rank == 2, "expects source to be a matrix, got {}", source)
        _require_numeric(source)
        pairs = tiles.rank == 2 and shape_of(tiles)[1] == 2 and tiles.element_type == ir.IntegerType.get_signless(32)
        require(pairs, "expects tiles to be a tensor of i32 with 2 columns, got {}", tiles)
        got = ir.RankedTensorType(self.operation.results[0].type)
        fits = tuple(shape_of(got)) == (shape_of(tiles)[0],) and isinstance(got.element_type, ir.F64Type)
        require(fits, "expects result type to be a tensor of f64 with an entry per candidate, got {}", got)


def require_result(op: ir.OpView, want: PatternShape) -> None:
    """The op's result is a pattern of ``want``."""
    got = PatternType(op.operation.results[0].type).to_shape()
    require(
        got == want,
        "expects result type !pith.pattern<{}, {}>, got !pith.pattern<{}, {}>",
        list(want.sizes),
        list(want.granularity),
        list(got.sizes),
        list(got.granularity),
    )


def _detected_type(source: ir.Value, axes: Sequence[int], granularity: Sequence[int]) -> PatternType:
    shape = shape_of(source.type)
    return PatternType.from_shape([shape[a] for a in axes], granularity)


def _require_numeric(type_: ir.RankedTensorType) -> None:
    numeric = isinstance(type_.element_type, (ir.FloatType, ir.IntegerType))
    require(numeric, "expects float or integer elements, got {}", type_.element_type)


def _require_detection(op: DetectOp | DetectByOp) -> None:
    """What ``detect`` and ``detect_by`` have in common."""
    source = dense_type(op.source.type, "source")
    _require_numeric(source)
    axes, granularity = read_i64s(op, "axes"), read_i64s(op, "granularity")
    require(bool(axes), "expects at least one axis")
    require_distinct_dims(axes, source.rank, "source", "axes")
    require(
        len(granularity) == len(axes),
        "expects one granularity per axis, got {} for {}",
        len(granularity),
        len(axes),
    )
    require(min(granularity) >= 1, "expects a granularity >= 1, got {}", list(granularity))
    require_result(op, PatternShape(tuple(shape_of(source)[a] for a in axes), tuple(granularity)))
    attributes = op.operation.attributes
    for name in (DETERMINISTIC, UNSIGNED):
        if name in attributes:
            read_bool(op, name)
    if BUFFER in attributes:
        attr = attributes[BUFFER]
        fits = isinstance(attr, BufferAttr) and attr.to_buffer().overflow in ("grow", "error")
        require(fits, "expects pith.buffer to grow or to be an error, got {}", attr)
