"""GPU kernels at the gpu level against float64, executed by the emulator. No GPU is needed."""

import emulator_programs
import gpu_programs
import numpy as np
import pith
import pytest
from pith import dialect
from pith._mlir import ir
from pith.passes.pipeline import run_pipeline
from relative_error import error_of

#: ||out - ref|| / ||ref|| per output type; accumulation is in f32 whatever the inputs are.
TOLERANCE = {"f32": 2e-6, "f16": 1e-3}
NUMPY = {"f32": np.float32, "f16": np.float16}


def lower(source, target="sm_90"):
    module = ir.Module.parse(source)
    run_pipeline(module, f"pith-assemble-arguments,convert-pith-to-gpu{{target={target}}},canonicalize,cse")
    return module


@pytest.fixture(autouse=True)
def context():
    with dialect.make_context(), ir.Location.unknown():
        yield


def pattern_list(rng, size, granularity, share, spare=5):
    """An unordered device list with room to spare; entries past the count are garbage."""
    total = -(-size // granularity)
    chosen = rng.permutation(total)[: round(share * total)]
    entries = np.full(1 + total + spare, -1, np.int32)
    entries[0], entries[1 : 1 + len(chosen)] = len(chosen), chosen
    elements = np.concatenate([np.arange(c * granularity, (c + 1) * granularity) for c in chosen] or [[]])
    mask = np.zeros(size, bool)
    mask[elements[elements < size].astype(int)] = True
    return entries, mask


def reference(a, b, c, axis, mask):
    a, b, c = (x.astype("f8") for x in (a, b, c))
    keep = mask.astype("f8")
    if axis == "k":
        return c + (a * keep) @ b
    full = a @ b
    return c + (full * keep[:, None] if axis == "m" else full * keep[None, :])


CASES = [
    # axis, element, out, tile, granularity, shape (m, n, k), share, accumulate
    ("m", "f32", "f32", (32, 32, 8), 1, (45, 37, 19), 0.5, False),
    ("m", "f32", "f32", (16, 16, 0), 5, (33, 17, 20), 0.6, False),
    ("n", "f32", "f32", (32, 32, 8), 3, (20, 70, 11), 0.7, False),
    ("k", "f32", "f32", (16, 32, 8), 4, (20, 33, 50), 0.5, False),
    ("m", "f32", "f32", (32, 16, 4), 2, (39, 18, 9), 0.5, True),
    ("k", "f32", "f32", (16, 16, 8), 1, (17, 16, 31), 1.0, True),
    ("m", "f16", "f32", (32, 32, 32), 1, (45, 37, 50), 0.5, False),
    ("n", "f16", "f32", (16, 16, 16), 8, (17, 50, 33), 0.5, False),
    ("k", "f16", "f32", (32, 16, 32), 1, (40, 20, 77), 0.4, False),
    ("k", "f16", "f16", (16, 8, 16), 16, (20, 13, 70), 0.6, False),
    ("m", "f16", "f32", (48, 24, 16), 1, (50, 30, 17), 0.9, True),
]


@pytest.mark.parametrize(("axis", "element", "out", "tile", "granularity", "shape", "share", "accumulate"), CASES)
def test_pit_matmul(axis, element, out, tile, granularity, shape, share, accumulate):
    rng = np.random.default_rng([*tile, *shape, granularity])
    m, n, k = shape
    a, b = rng.standard_normal((m, k)).astype(NUMPY[element]), rng.standard_normal((k, n)).astype(NUMPY[element])
    c = rng.standard_normal((m, n)).astype(NUMPY[out])
    entries, mask = pattern_list(rng, dict(m=m, n=n, k=k)[axis], granularity, share)
    expected = reference(a, b, c, axis, mask)
    source = gpu_programs.pit_matmul(
        axis, element=element, out=out, tile=tile, granularity=granularity, accumulate=accumulate
    )
    (c,) = emulator_programs.run_module(lower(source), [entries, a, b, c])
    assert error_of(c, expected) < TOLERANCE[out]


@pytest.mark.parametrize(("rhs", "out_roles"), [("nk", "mn"), ("kn", "nm"), ("nk", "nm")])
def test_pit_matmul_transposed_operands(rhs, out_roles):
    rng = np.random.default_rng(7)
    a, b = rng.standard_normal((21, 18)).astype("f4"), rng.standard_normal((18, 19)).astype("f4")
    c = rng.standard_normal((21, 19)).astype("f4")
    entries, mask = pattern_list(rng, 21, 1, 0.5)
    expected = reference(a, b, c, "m", mask)
    stored_b = np.ascontiguousarray(b.T) if rhs == "nk" else b
    stored_c = np.ascontiguousarray(c.T) if out_roles == "nm" else c
    source = gpu_programs.pit_matmul("m", tile=(16, 16, 8), rhs=rhs, out_roles=out_roles)
    (stored_c,) = emulator_programs.run_module(lower(source), [entries, a, stored_b, stored_c])
    assert error_of(stored_c.T if out_roles == "nm" else stored_c, expected) < TOLERANCE["f32"]


@pytest.mark.parametrize("axis", "mnk")
@pytest.mark.parametrize("element", ["f32", "f16"])
def test_empty_pattern_leaves_the_output(axis, element):
    a, b = np.ones((20, 20), NUMPY[element]), np.ones((20, 20), NUMPY[element])
    c = np.full((20, 20), 3, np.float32)
    source = gpu_programs.pit_matmul(axis, element=element, out="f32", tile=(16, 16, 16))
    (c,) = emulator_programs.run_module(lower(source), [np.zeros(1, np.int32), a, b, c])
    assert (c == 3).all()


@pytest.mark.parametrize("shape", [(0, 5, 4), (5, 0, 4), (5, 4, 0), (1, 1, 1)])
@pytest.mark.parametrize("axis", "mnk")
def test_degenerate_shapes(axis, shape):
    m, n, k = shape
    a, b, c = np.ones((m, k), "f4"), np.ones((k, n), "f4"), np.full((m, n), 2, "f4")
    entries, _ = pattern_list(np.random.default_rng(0), dict(m=m, n=n, k=k)[axis], 1, 1.0)
    (c,) = emulator_programs.run_module(lower(gpu_programs.pit_matmul(axis, tile=(16, 16, 8))), [entries, a, b, c])
    assert (c == 2 + k).all()


def test_corrupt_list_touches_nothing_outside():
    """A count beyond the list and coordinates beyond the size are ignored, not followed."""
    a, b, c = np.ones((20, 8), "f4"), np.ones((8, 20), "f4"), np.zeros((20, 20), "f4")
    entries = np.array([1000, 2, 99, -4, 19], np.int32)
    (c,) = emulator_programs.run_module(lower(gpu_programs.pit_matmul("m", tile=(16, 16, 8))), [entries, a, b, c])
    expected = np.zeros((20, 20))
    expected[[2, 19]] = 8
    assert (c == expected).all()


@pytest.mark.filterwarnings("ignore:invalid value encountered")
def test_values_are_not_multiplied_where_the_pattern_is_absent():
    """NaN and Inf in rows that are dropped stay out; in kept rows they come through."""
    a, b, c = np.ones((20, 8), "f4"), np.ones((8, 4), "f4"), np.zeros((20, 4), "f4")
    a[3], a[5] = np.nan, np.inf
    (c,) = emulator_programs.run_module(
        lower(gpu_programs.pit_matmul("m", tile=(16, 16, 8))), [np.array([1, 5], "i4"), a, b, c]
    )
    assert np.isinf(c[5]).all() and (np.delete(c, 5, 0) == 0).all()


FORMATS = [
    # format, shape of A, element, out
    ("C0(2:4)", (20, 24), "f32", "f32"),
    ("C1(3:4)->C0(2:4)", (33, 48), "f32", "f32"),
    ("C2(1:2)->C1(3:4)->C0(2:4)", (17, 64), "f32", "f32"),
    ("V(4)C1(1:2)->C0(2:4)", (36, 40), "f32", "f32"),
    ("V(16)C1(2:5)->V(2)C0(1:3)", (32, 45), "f32", "f32"),
    ("C1(1:2)->B(4x1)C0(2:4)", (20, 32), "f32", "f32"),
    ("B(2x3)C0(1:2)", (10, 42), "f32", "f32"),
    ("C1(4:4)->C0(4:4)", (18, 32), "f32", "f32"),
    ("C1(2:3)->C0(5:7)", (19, 63), "f32", "f32"),
    ("C0(2:20)", (19, 40), "f32", "f32"),
    ("C1(3:4)->C0(2:4)", (33, 48), "f16", "f32"),
    ("V(16)C1(2:8)->C0(2:4)", (48, 64), "f16", "f32"),
    ("C1(2:3)->C0(5:7)", (19, 63), "f16", "f16"),
]


@pytest.mark.parametrize("transposed", [False, True], ids=["A@B", "B@A.T"])
@pytest.mark.parametrize(("text", "shape", "element", "out"), FORMATS)
def test_hss_matmul(text, shape, element, out, transposed):
    rng = np.random.default_rng(11)
    fmt = pith.HSS.parse(text)
    weight = pith.prune(rng.standard_normal(shape).astype(NUMPY[element]), fmt)
    packed = pith.compress(weight, fmt)
    columns = 13
    b = rng.standard_normal((columns, shape[1]) if transposed else (shape[1], columns)).astype(NUMPY[element])
    source = gpu_programs.hss_matmul(text, shape, element=element, out=out, transposed=transposed)
    (result,) = emulator_programs.run_module(lower(source), [*packed.buffers, b])
    w, x = weight.astype("f8"), b.astype("f8")
    assert 0 < np.count_nonzero(weight) <= round(fmt.density * weight.size)
    assert error_of(result, x @ w.T if transposed else w @ x) < TOLERANCE[out]


def without_barriers(module):
    doomed = []

    def visit(op):
        if op.name == "gpu.barrier":
            doomed.append(op)
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    for op in doomed:
        op.erase()
    return len(doomed)


def test_missing_barriers_are_noticed():
    """Without barriers threads read shared memory before others have written it, and the emulator says so."""
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal((32, 32)).astype("f4"), rng.standard_normal((32, 32)).astype("f4")
    c = np.zeros((32, 32), "f4")
    module = lower(gpu_programs.pit_matmul("m", tile=(32, 32, 8)))
    # Two per slab that is written back, and one per step along k.
    assert without_barriers(module) == 5
    entries, _ = pattern_list(rng, 32, 1, 1.0)
    with pytest.raises(pith.KernelFault, match=r"line \d+: .*shared memory") as caught:
        emulator_programs.run_module(module, [entries, a, b, c])
    assert caught.value.kind in ("uninitialised", "race")


def test_hss_matmul_of_dynamic_shape_and_two_encoded_operands():
    """Sizes come from the dense operands at run time; either side, or both, may be encoded."""
    rng = np.random.default_rng(5)
    fmt = pith.HSS.parse("C1(1:2)->C0(2:4)")
    attr = dialect.FormatAttr.from_format(fmt.to_format())
    w = pith.prune(rng.standard_normal((21, 40)).astype("f4"), fmt)
    x = rng.standard_normal((40, 9)).astype("f4")
    out = np.zeros((21, 9), "f4")
    dense = "tensor<?x?xf32>"
    body = "linalg.matmul ins(%a, %b : {0}, {1}) outs(%c : {2}) -> {2}"
    source = "func.func @f(%a: {0}, %b: {1}, %c: {2}) -> {2} {{ %r = " + body + " return %r : {2} }}"
    sizes = [np.array(n) for n in w.shape]
    dynamic = source.format(f"tensor<?x?xf32, {attr}>", dense, dense)
    (out,) = emulator_programs.run_module(lower(dynamic), [*pith.compress(w, fmt).buffers, *sizes, x, out])
    assert error_of(out, w.astype("f8") @ x) < TOLERANCE["f32"]

    v = pith.prune(rng.standard_normal((40, 16)).astype("f4"), fmt)
    out = np.zeros((21, 16), "f4")
    both = source.format(f"tensor<21x40xf32, {attr}>", f"tensor<40x16xf32, {attr}>", "tensor<21x16xf32>")
    buffers = [*pith.compress(w, fmt).buffers, *pith.compress(v, fmt).buffers]
    (out,) = emulator_programs.run_module(lower(both), [*buffers, out])
    assert error_of(out, w.astype("f8") @ v) < TOLERANCE["f32"]
