"""Tensor-level passes: analyses and rewrites that keep the program target-independent.

:data:`PASSES` is the explicit table of their names; one pass = one file = one lit file.

- Products and what surrounds them: ``split_products``, ``fold_copies``, ``collapse_batch``, ``unfold_convolutions``,
  ``hoist_scales``, ``hoist_sizes``, ``propagate_encodings`` (formats reach the ops that read them).
- Sparsity known at run time: ``infer_pit_axes``, ``select_tiles``, ``form_pit_tiles``.
- Of any program: ``inline_calls``, ``guard_asserts``, ``approximate_math``.

``core`` says what a pass is, ``pipeline`` runs them by name. They share ``analysis`` (questions about IR), ``generic``
(building linalg) and ``cloning``.
"""

from .core import Pass, pass_error

#: name in a textual pipeline -> "module:Class" (imported when the pass is first named).
PASSES: dict[str, str] = {
    "pith-approximate-math": "pith.passes.approximate_math:ApproximateMathPass",
    "pith-inline-calls": "pith.passes.inline_calls:InlineCallsPass",
    "pith-infer-pit-axes": "pith.passes.infer_pit_axes:InferPitAxesPass",
    "pith-select-tiles": "pith.passes.select_tiles:SelectTilesPass",
    "pith-form-pit-tiles": "pith.passes.form_pit_tiles:FormPitTilesPass",
    "pith-guard-asserts": "pith.passes.guard_asserts:GuardAssertsPass",
    "pith-hoist-sizes": "pith.passes.hoist_sizes:HoistSizesPass",
    "pith-propagate-encodings": "pith.passes.propagate_encodings:PropagateEncodingsPass",
    "pith-hoist-scales": "pith.passes.hoist_scales:HoistScalesPass",
    "pith-fold-copies": "pith.passes.fold_copies:FoldCopiesPass",
    "pith-split-products": "pith.passes.split_products:SplitProductsPass",
    "pith-unfold-convolutions": "pith.passes.unfold_convolutions:UnfoldConvolutionsPass",
    "pith-collapse-batch": "pith.passes.collapse_batch:CollapseBatchPass",
}

__all__ = ["PASSES", "Pass", "pass_error"]
