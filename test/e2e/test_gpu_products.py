"""Products on emulated GPUs against float64: element types, orders, batches, what surrounds them. No GPU is needed."""

import functools

import numpy as np
import pith
import pytest

#: ||out - ref|| / ||ref|| by the narrowest type on the way: inputs are exact, sums are f32, results are rounded.
TOLERANCE = {"f32": 2e-6, "f16": 6e-4, "bf16": 5e-3}
TARGET = "emulate:sm_90"


def bfloat16(x):
    """Rounded to bf16, kept in f32."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16 << 16).view(np.float32)


def draw(rng, shape, element):
    """(what the kernel takes, its values)."""
    if element == "i8":
        x = rng.integers(-128, 128, shape, dtype=np.int8)
        return x, x.astype("f8")
    x = rng.standard_normal(shape).astype(np.float16 if element == "f16" else np.float32)
    if element == "bf16":
        import torch

        x = bfloat16(x)
        return torch.from_numpy(x).to(torch.bfloat16), x.astype("f8")
    return x, x.astype("f8")


def values(result):
    """A result as float64."""
    import torch

    return (result.float().numpy() if isinstance(result, torch.Tensor) else np.asarray(result)).astype("f8")


def error_of(result, ref):
    out = values(result)
    assert out.shape == ref.shape
    return np.linalg.norm(out - ref) / max(np.linalg.norm(ref), 1e-30)


def tensor(roles, sizes, element):
    return "tensor<" + "x".join(str(sizes[r]) for r in roles) + f"x{element}>"


#: Small tiles compile fast; one test takes the planner's.
SMALL = "array<i64: 32, 32, 32, 2, 2, 2>"


def matmul(lhs, rhs, out, element, result, sizes=None, tile=SMALL):
    """A ``linalg.generic`` of roles such as ``bmk``, added to its init."""
    sizes = sizes or dict.fromkeys("abmnk", "?")
    dims = sorted({*lhs, *rhs, *out})
    maps = ", ".join(f"affine_map<({', '.join(dims)}) -> ({', '.join(r)})>" for r in (lhs, rhs, out))
    kinds = ", ".join('"parallel"' if d in out else '"reduction"' for d in dims)
    a, b, c = tensor(lhs, sizes, element), tensor(rhs, sizes, element), tensor(out, sizes, result)
    wide = "i32" if element == "i8" else "f32" if element != result else result
    kind, cast = ("i", "arith.extsi") if element == "i8" else ("f", "arith.extf")
    body = f"%u = arith.mul{kind} %x, %y : {wide} %v = arith.add{kind} %z, %u : {wide}"
    if element != wide:
        body = f"%x = {cast} %p : {element} to {wide} %y = {cast} %q : {element} to {wide} " + body
    names = ("%p", "%q") if element != wide else ("%x", "%y")
    return f"""func.func @f(%a: {a}, %b: {b}, %c: {c}) -> {c} {{
      %r = linalg.generic {{indexing_maps = [{maps}], iterator_types = [{kinds}], pith.gpu_tile = {tile}}}
        ins(%a, %b : {a}, {b}) outs(%c : {c}) {{
      ^bb0({names[0]}: {element}, {names[1]}: {element}, %z: {result}):
        {body}
        linalg.yield %v : {wide}
      }} -> {c}
      return %r : {c}
    }}"""


@functools.lru_cache(maxsize=64)
def compiled(source, target=TARGET):
    return pith.compile(source, target=target)


def check(lhs, rhs, out, element, result, sizes, static=False):
    check_source(
        matmul(lhs, rhs, out, element, result, sizes if static else None), lhs, rhs, out, element, result, sizes
    )


def check_source(source, lhs, rhs, out, element, result, sizes):
    rng = np.random.default_rng([*sizes.values()])
    (a, av), (b, bv) = (draw(rng, [sizes[r] for r in roles], element) for roles in (lhs, rhs))
    c, cv = draw(rng, [sizes[r] for r in out], "i8" if result == "i32" else result)
    c = c.astype(np.int32) if result == "i32" else c
    got = compiled(source)(a, b, c)
    ref = np.einsum(f"{lhs},{rhs}->{out}", av, bv) + cv
    if result == "i32":
        assert (values(got) == ref).all()
    else:
        assert error_of(got, ref) < TOLERANCE[result]


ODD = {"a": 2, "b": 3, "m": 45, "n": 37, "k": 53}
EVEN = {"a": 2, "b": 2, "m": 48, "n": 40, "k": 64}


@pytest.mark.parametrize("sizes", [ODD, EVEN], ids=["odd", "even"])
@pytest.mark.parametrize(("element", "result"), [("f16", "f32"), ("bf16", "bf16"), ("i8", "i32"), ("f32", "f32")])
@pytest.mark.parametrize(("lhs", "rhs"), [("mk", "kn"), ("mk", "nk"), ("km", "kn"), ("km", "nk")])
def test_orders_of_operands(lhs, rhs, element, result, sizes):
    check(lhs, rhs, "mn", element, result, sizes)


@pytest.mark.parametrize("element", ["f16", "f32"])
@pytest.mark.parametrize(
    ("lhs", "rhs", "out"),
    [("bmk", "bkn", "bmn"), ("bmk", "kn", "bmn"), ("abmk", "bnk", "abmn"), ("mbk", "bkn", "bmn"), ("mk", "kn", "nm")],
)
def test_batches_and_transposed_results(lhs, rhs, out, element):
    check(lhs, rhs, out, element, "f32", ODD)


@pytest.mark.parametrize("sizes", [ODD, EVEN], ids=["odd", "even"])
@pytest.mark.parametrize(("element", "result"), [("f16", "f16"), ("i8", "i32")])
def test_static_shapes(element, result, sizes):
    check("mk", "kn", "mn", element, result, sizes, static=True)


@pytest.mark.parametrize("shape", [(0, 5, 4), (5, 0, 4), (5, 4, 0), (1, 1, 1), (1, 300, 1)])
def test_edges(shape):
    check("mk", "kn", "mn", "f16", "f32", dict(zip("mnk", shape)))


def test_tf32_is_asked_for():
    """Inputs keep 10 bits of mantissa, whatever rounds them; sums are f32."""
    for lhs, rhs in (("mk", "kn"), ("km", "nk")):
        rng = np.random.default_rng(1)
        a, b = rng.standard_normal((45, 53)).astype("f4"), rng.standard_normal((53, 37)).astype("f4")
        c = np.zeros((45, 37), "f4")
        given = [np.ascontiguousarray(x.T) if roles in ("km", "nk") else x for x, roles in ((a, lhs), (b, rhs))]
        kernel = compiled(matmul(lhs, rhs, "mn", "f32", "f32"), TARGET + "+tf32")
        error = error_of(kernel(*given, c), a.astype("f8") @ b)
        assert 1e-5 < error < 1.5e-3


CONSUMERS = """
#id = affine_map<(m, n) -> (m, n)>
func.func @f(%a: tensor<?x48xf16>, %b: tensor<40x48xf16>, %bias: tensor<40xf32>, %res: tensor<?x40xf32>)
    -> tensor<?x40xf16> {
  %zero = arith.constant 0.0 : f32
  %two = arith.constant 2.0 : f32
  %d = arith.constant 0 : index
  %m = tensor.dim %a, %d : tensor<?x48xf16>
  %e = tensor.empty(%m) : tensor<?x40xf32>
  %i = linalg.fill ins(%zero : f32) outs(%e : tensor<?x40xf32>) -> tensor<?x40xf32>
  %r = linalg.generic {
    indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>],
    iterator_types = ["parallel", "parallel", "reduction"], pith.gpu_tile = array<i64: 32, 32, 32, 2, 2, 2>}
    ins(%a, %b : tensor<?x48xf16>, tensor<40x48xf16>) outs(%i : tensor<?x40xf32>) {
  ^bb0(%x: f16, %y: f16, %z: f32):
    %0 = arith.extf %x : f16 to f32
    %1 = arith.extf %y : f16 to f32
    %2 = arith.mulf %0, %1 : f32
    %3 = arith.addf %z, %2 : f32
    linalg.yield %3 : f32
  } -> tensor<?x40xf32>
  %e2 = tensor.empty(%m) : tensor<?x40xf16>
  %s = linalg.generic {
    indexing_maps = [#id, affine_map<(m, n) -> (n)>, #id, #id], iterator_types = ["parallel", "parallel"]}
    ins(%r, %bias, %res : tensor<?x40xf32>, tensor<40xf32>, tensor<?x40xf32>) outs(%e2 : tensor<?x40xf16>) {
  ^bb0(%x: f32, %y: f32, %z: f32, %o: f16):
    %0 = arith.addf %x, %y : f32
    ACTIVATION
    %3 = arith.mulf %2, %two : f32
    %4 = arith.addf %3, %z : f32
    %5 = arith.truncf %4 : f32 to f16
    linalg.yield %5 : f16
  } -> tensor<?x40xf16>
  return %s : tensor<?x40xf16>
}"""

ACTIVATIONS = {
    "relu": ("%2 = arith.maximumf %0, %zero : f32", lambda x: np.maximum(x, 0)),
    "silu": (
        "%g = arith.negf %0 : f32 %h = math.exp %g : f32 %one = arith.constant 1.0 : f32 "
        "%j = arith.addf %h, %one : f32 %2 = arith.divf %0, %j : f32",
        lambda x: x / (1 + np.exp(-x)),
    ),
    "gelu": (
        "%g = math.erf %0 : f32 %2 = arith.mulf %g, %0 : f32",
        lambda x: x * np.vectorize(__import__("math").erf)(x),
    ),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_consumers_are_computed_along(name):
    """Bias, activation, scale, residual and rounding, in one launch; the zeros are neither stored nor read."""
    text, activation = ACTIVATIONS[name]
    kernel = compiled(CONSUMERS.replace("ACTIVATION", text))
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((45, 48)).astype("f2"), rng.standard_normal((40, 48)).astype("f2")
    bias, residual = rng.standard_normal(40).astype("f4"), rng.standard_normal((45, 40)).astype("f4")
    expected = 2 * activation(a.astype("f8") @ b.astype("f8").T + bias) + residual
    assert error_of(kernel(a, b, bias, residual), expected) < TOLERANCE["f16"]
    assert kernel.ir("gpu").count("gpu.launch_func") == 1


@pytest.mark.parametrize(("element", "result"), [("f16", "f16"), ("i8", "i32")])
@pytest.mark.parametrize(("sizes", "static"), [(ODD, False), (EVEN, True)], ids=["odd", "even"])
def test_split_depth(sizes, static, element, result):
    """Three blocks share a tile: the last has less of k, or nothing; parts are added in order, in f32 or i32."""
    source = matmul("bmk", "kn", "bmn", element, result, sizes if static else None, SMALL[:-1] + ", 3>")
    check_source(source, "bmk", "kn", "bmn", element, result, sizes)
    launched = compiled(source).ir("gpu").count("gpu.launch_func")
    assert launched == 2


def test_split_depth_with_consumers():
    text, activation = ACTIVATIONS["relu"]
    source = CONSUMERS.replace("ACTIVATION", text).replace("32, 2, 2, 2>", "32, 2, 2, 2, 2>")
    kernel = compiled(source)
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((45, 48)).astype("f2"), rng.standard_normal((40, 48)).astype("f2")
    bias, residual = rng.standard_normal(40).astype("f4"), rng.standard_normal((45, 40)).astype("f4")
    expected = 2 * activation(a.astype("f8") @ b.astype("f8").T + bias) + residual
    first = kernel(a, b, bias, residual)
    assert error_of(first, expected) < TOLERANCE["f16"]
    assert (np.asarray(first) == np.asarray(kernel(a, b, bias, residual))).all()


SEQUENCES = """
#xyn = affine_map<(x, y, n) -> (x, y, n)>
func.func @f(%a: tensor<?x?x48xf16>, %b: tensor<40x48xf16>, %bias: tensor<40xf32>) -> tensor<?x?x40xf32> {
  %zero = arith.constant 0.0 : f32
  %0 = arith.constant 0 : index
  %1 = arith.constant 1 : index
  %x = tensor.dim %a, %0 : tensor<?x?x48xf16>
  %y = tensor.dim %a, %1 : tensor<?x?x48xf16>
  %e = tensor.empty(%x, %y) : tensor<?x?x40xf32>
  %i = linalg.fill ins(%zero : f32) outs(%e : tensor<?x?x40xf32>) -> tensor<?x?x40xf32>
  %r = linalg.generic {
    indexing_maps = [affine_map<(x, y, n, k) -> (x, y, k)>, affine_map<(x, y, n, k) -> (n, k)>,
      affine_map<(x, y, n, k) -> (x, y, n)>], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
    ins(%a, %b : tensor<?x?x48xf16>, tensor<40x48xf16>) outs(%i : tensor<?x?x40xf32>) {
  ^bb0(%p: f16, %q: f16, %z: f32):
    %2 = arith.extf %p : f16 to f32
    %3 = arith.extf %q : f16 to f32
    %4 = arith.mulf %2, %3 : f32
    %5 = arith.addf %z, %4 : f32
    linalg.yield %5 : f32
  } -> tensor<?x?x40xf32>
  %d = tensor.empty(%x, %y) : tensor<?x?x40xf32>
  %t = linalg.generic {indexing_maps = [#xyn, affine_map<(x, y, n) -> (n)>, #xyn],
      iterator_types = ["parallel", "parallel", "parallel"]}
    ins(%r, %bias : tensor<?x?x40xf32>, tensor<40xf32>) outs(%d : tensor<?x?x40xf32>) {
  ^bb0(%p: f32, %q: f32, %z: f32):
    %2 = arith.addf %p, %q : f32
    linalg.yield %2 : f32
  } -> tensor<?x?x40xf32>
  return %t : tensor<?x?x40xf32>
}"""


def test_rows_of_sequences_are_rows_of_one_product():
    """A linear layer on (batch, sequence, features): one matrix product over all rows, its bias behind a reshape."""
    kernel = compiled(SEQUENCES)
    rng = np.random.default_rng(6)
    a, b = rng.standard_normal((9, 5, 48)).astype("f2"), rng.standard_normal((40, 48)).astype("f2")
    bias = rng.standard_normal(40).astype("f4")
    assert error_of(kernel(a, b, bias), a.astype("f8") @ b.astype("f8").T + bias) < TOLERANCE["f32"]
    assert kernel.ir("gpu").count("gpu.launch_func") == 1
