"""Run a program of linalg on tensors through upstream's dense pipeline alone: a second opinion.

Encodings say how a tensor is stored, not what it holds, so they are erased first: what is left is
the dense program the import and the tensor-level passes stand for.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Sequence

import numpy as np
from pith._mlir import execution_engine, ir
from pith.dialect import make_context
from pith.passes.pipeline import run_pipeline
from pith.runtime.native import library_path

#: Attention is an op of pith in imported programs; upstream runs the loops it stands for.
_PIPELINE = (
    "builtin.module(func.func(llvm-request-c-wrappers),convert-pith-attention-to-loops,canonicalize,cse,"
    "one-shot-bufferize{"
    "bufferize-function-boundaries function-boundary-type-conversion=identity-layout-map},"
    "canonicalize,func.func(convert-linalg-to-loops),convert-vector-to-scf,lower-affine,convert-vector-to-llvm,"
    "expand-strided-metadata,lower-affine,convert-scf-to-cf,convert-math-to-llvm,convert-math-to-libm,"
    "finalize-memref-to-llvm,convert-arith-to-llvm,convert-index-to-llvm,convert-cf-to-llvm,"
    "convert-func-to-llvm,reconcile-unrealized-casts)"
)

_DTYPES = {"f32": np.float32, "f64": np.float64, "i64": np.int64, "i32": np.int32, "i1": np.bool_}


def erase_encodings(text: str) -> str:
    """The text of a module without ``#pith.format`` encodings and the ops that convert them."""
    text = re.sub(r", #pith\.format<[^\[]*\[[^\]]*\][^>]*>", "", text)
    return re.sub(r'"pith\.(?:de)?compress"\((%\w+)\) : \((.*?)\) -> (.*)', r"tensor.cast \1 : \2 to \3", text)


def run(text: str, func_name: str, arguments: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Compile ``text`` densely and call ``func_name``; results are copies."""
    with make_context(), ir.Location.unknown():
        module = ir.Module.parse(erase_encodings(text))
        func = next(op for op in module.body.operations if op.operation.name == "func.func")
        results = [ir.RankedTensorType(t) for t in func.type.results]
        layout = [(t.rank, _DTYPES[str(t.element_type)]) for t in results]
        run_pipeline(module, _PIPELINE)
        engine = execution_engine()(module, opt_level=0, shared_libs=[str(library_path())])
        address = engine.raw_lookup(f"_mlir_ciface_{func_name}")
        assert address, f"no entry function {func_name}"
        return _call(address, arguments, layout)


def _call(address: int, arguments: Sequence[np.ndarray], layout: list[tuple[int, type]]) -> list[np.ndarray]:
    fields = [(f"r{i}", _descriptor(rank)) for i, (rank, _) in enumerate(layout)]
    returned = type("Results", (ctypes.Structure,), {"_fields_": fields})()
    arrays = [np.ascontiguousarray(a) for a in arguments]
    descriptors = [_fill(a) for a in arrays]
    pointers = [ctypes.c_void_p(ctypes.addressof(d)) for d in (returned, *descriptors)]
    packed = (ctypes.c_void_p * len(pointers))(*map(ctypes.addressof, pointers))
    ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address)(ctypes.addressof(packed))
    return [_read(getattr(returned, f"r{i}"), dtype) for i, (_, dtype) in enumerate(layout)]


def _descriptor(rank: int) -> type:
    words = [("allocated", ctypes.c_void_p), ("aligned", ctypes.c_void_p), ("offset", ctypes.c_int64)]
    sizes = [("sizes", ctypes.c_int64 * rank), ("strides", ctypes.c_int64 * rank)] if rank else []
    return type(f"MemRef{rank}", (ctypes.Structure,), {"_fields_": words + sizes})


def _fill(array: np.ndarray) -> ctypes.Structure:
    out = _descriptor(array.ndim)()
    out.allocated = out.aligned = array.ctypes.data
    for d in range(array.ndim):
        out.sizes[d], out.strides[d] = array.shape[d], array.strides[d] // array.itemsize
    return out


def _read(memref: ctypes.Structure, dtype: type) -> np.ndarray:
    rank = len(memref.sizes) if hasattr(memref, "sizes") else 0
    item = np.dtype(dtype).itemsize
    shape = tuple(memref.sizes) if rank else ()
    extent = 1 + sum((n - 1) * s for n, s in zip(shape, memref.strides)) if rank else 1
    if 0 in shape:
        return np.empty(shape, dtype)
    raw = (ctypes.c_char * (extent * item)).from_address(memref.aligned + memref.offset * item)
    flat = np.frombuffer(raw, dtype)
    strides = tuple(s * item for s in memref.strides) if rank else ()
    return np.lib.stride_tricks.as_strided(flat, shape, strides).copy()
