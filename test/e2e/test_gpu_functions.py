"""Functions of ``math`` in emulated GPU kernels against float64. No GPU is needed."""

import math

import numpy as np
import pith
import pytest
from glue_programs import powers, unary
from needs import needs_ptxas
from pith.errors import PassError
from pith.tools import ptxas


def run(source, *args):
    return pith.compile(source, target="emulate:sm_90")(*args)


_LINE = np.linspace(-20, 20, 4001, dtype="f4")
_SMALL = np.exp(np.linspace(-100, 0, 999)).astype("f4")
_SPECIAL = np.array([0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 2, 0.5, 3.4e38], "f4")
_POSITIVE = np.concatenate([np.abs(_LINE), np.exp(np.linspace(-100, 88, 2000)).astype("f4"), _SPECIAL])
FUNCTIONS = {
    # op: reference, arguments, largest relative error
    "exp": (np.exp, np.linspace(-110, 100, 3001, dtype="f4"), 2e-7),
    "exp2": (np.exp2, np.linspace(-160, 140, 3001, dtype="f4"), 2e-7),
    "expm1": (np.expm1, np.concatenate([_LINE, _SMALL, -_SMALL, _SPECIAL]), 4e-7),
    "log": (np.log, _POSITIVE, 2e-7),
    "log2": (np.log2, _POSITIVE, 3e-7),
    "log10": (np.log10, _POSITIVE, 3e-7),
    "log1p": (np.log1p, np.concatenate([_LINE[_LINE > -1], _SMALL, -_SMALL, _SPECIAL]), 4e-7),
    "rsqrt": (lambda x: 1 / np.sqrt(x), _POSITIVE, 2e-7),
    "sqrt": (np.sqrt, _POSITIVE, 1e-7),
    "tanh": (np.tanh, np.concatenate([_LINE, _SMALL, _SPECIAL]), 5e-7),
    "floor": (np.floor, np.concatenate([_LINE, _SPECIAL]), 0),
    "ceil": (np.ceil, np.concatenate([_LINE, _SPECIAL]), 0),
    "roundeven": (np.rint, np.concatenate([_LINE, _SPECIAL]), 0),
    "trunc": (np.trunc, np.concatenate([_LINE, _SPECIAL]), 0),
}


def same_edges(out, ref):
    """NaN and Inf where float64 has them, once rounded to f32; the places where both are ordinary numbers."""
    narrow = ref.astype("f4")
    assert (np.isnan(out) == np.isnan(narrow)).all() and (np.isinf(out) == np.isinf(narrow)).all()
    return np.isfinite(narrow) & (np.abs(narrow) > 1.2e-38)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name):
    reference, x, tolerance = FUNCTIONS[name]
    out, ref = run(unary(f"%r = math.{name} %x : f32"), np.ascontiguousarray(x)), reference(x.astype("f8"))
    at = same_edges(out, ref)
    assert (np.abs(out - ref)[at] <= tolerance * np.abs(ref[at])).all()


@pytest.mark.parametrize(("name", "reference"), [("sin", np.sin), ("cos", np.cos)])
def test_waves(name, reference):
    x = np.concatenate([_LINE, _LINE * 1e3, _LINE * 1e7])
    out = run(unary(f"%r = math.{name} %x : f32"), x)
    assert np.abs(out - reference(x.astype("f8"))).max() < 3e-7
    edges = np.array([np.inf, -np.inf, np.nan], "f4")
    assert np.isnan(run(unary(f"%r = math.{name} %x : f32"), edges)).all()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("exponent", "tolerance"), [(2.0, 1e-6), (7.0, 1e-6), (-1.5, 2e-5), (10.0, 2e-5), (0.3, 2e-5)])
def test_powers(exponent, tolerance):
    x = np.concatenate([_LINE, _SPECIAL[_SPECIAL != -np.inf]])
    out, ref = run(unary(powers(exponent)), x), np.power(x.astype("f8"), float(np.float32(exponent)))
    at = same_edges(out, ref)
    assert (np.abs(out - ref)[at] <= tolerance * np.abs(ref[at])).all()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("divisor", ["3.0", "0.1", "-0.7", "0x7F800000"])
def test_remainders(divisor):
    x = np.concatenate([_LINE, _SPECIAL[_SPECIAL < 1e38], [np.nan, np.inf], _LINE * 1e6]).astype("f4")
    body = f"%c = arith.constant {divisor} : f32\n    %r = arith.remf %x, %c : f32"
    y = np.uint32(int(divisor, 16)).view("f4") if "x" in divisor else np.float32(divisor)
    assert np.array_equal(run(unary(body), x), np.fmod(x, y), equal_nan=True)


_WIDE = np.linspace(-20, 20, 4001)
_TINY = np.exp(np.linspace(-700, 0, 999))
_DOUBLE_EDGES = np.array([0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 2, 0.5, 1.7e308, 5e-324, 2.2e-308])
_ABOVE_ZERO = np.concatenate([np.abs(_WIDE), np.exp(np.linspace(-744, 709, 2000)), _DOUBLE_EDGES])
DOUBLES = {
    # op: reference, arguments, largest relative error
    "exp": (np.exp, np.concatenate([np.linspace(-750, 712, 3001), _WIDE, _DOUBLE_EDGES]), 5e-16),
    "exp2": (np.exp2, np.concatenate([np.linspace(-1080, 1030, 3001), _DOUBLE_EDGES]), 5e-16),
    "expm1": (np.expm1, np.concatenate([_WIDE, 40 * _WIDE, _TINY, -_TINY, _DOUBLE_EDGES]), 1e-15),
    "log": (np.log, _ABOVE_ZERO, 5e-16),
    "log2": (np.log2, _ABOVE_ZERO, 1e-15),
    "log10": (np.log10, _ABOVE_ZERO, 1e-15),
    "log1p": (np.log1p, np.concatenate([_WIDE[_WIDE > -1], _TINY, -_TINY[:-1], _DOUBLE_EDGES]), 1e-15),
    "rsqrt": (lambda x: 1 / np.sqrt(x), _ABOVE_ZERO, 5e-16),
    "tanh": (np.tanh, np.concatenate([_WIDE, 30 * _WIDE, _TINY, -_TINY, _DOUBLE_EDGES]), 1e-15),
    "erf": (np.vectorize(math.erf), np.concatenate([_WIDE, _WIDE / 10, _TINY, -_TINY, _DOUBLE_EDGES]), 1e-15),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", DOUBLES)
def test_functions_of_doubles(name):
    """Against functions of more digits, but for erf: the C library's, which is right to an ulp."""
    reference, x, tolerance = DOUBLES[name]
    out = run(unary(f"%r = math.{name} %x : f64", "f64"), np.ascontiguousarray(x))
    ref = reference(x if name == "erf" else x.astype(np.longdouble))
    narrow = ref.astype("f8")
    assert (np.isnan(out) == np.isnan(narrow)).all() and (np.isinf(out) == np.isinf(narrow)).all()
    at = np.isfinite(narrow)
    # One step of subnormal numbers is more than any relative error.
    assert (np.abs(out - ref)[at] <= tolerance * np.abs(ref[at]) + 5e-324).all()
    assert np.array_equal(np.signbit(out[at & (out == 0)]), np.signbit(narrow[at & (out == 0)]))


@pytest.mark.parametrize(("name", "reference"), [("sin", np.sin), ("cos", np.cos)])
def test_waves_of_doubles(name, reference):
    x = np.concatenate([_WIDE, _WIDE * 1e3, _WIDE * 5e7])
    out = run(unary(f"%r = math.{name} %x : f64", "f64"), x)
    assert np.abs(out - reference(x)).max() < 1e-15
    assert np.isnan(run(unary(f"%r = math.{name} %x : f64", "f64"), np.array([np.inf, -np.inf, np.nan]))).all()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("exponent", "tolerance"), [(2.0, 1e-15), (7.0, 1e-15), (0.5, 1e-15), (-1.5, 1e-12), (10.0, 1e-12)]
)
def test_powers_of_doubles(exponent, tolerance):
    x = np.concatenate([_WIDE, _TINY, _DOUBLE_EDGES[_DOUBLE_EDGES != -np.inf]])
    body = f"%c = arith.constant {exponent} : f64\n    %r = math.powf %x, %c : f64"
    out, ref = run(unary(body, "f64"), x), np.power(x.astype(np.longdouble), exponent)
    narrow = ref.astype("f8")
    assert (np.isnan(out) == np.isnan(narrow)).all() and (np.isinf(out) == np.isinf(narrow)).all()
    at = np.isfinite(narrow) & (np.abs(narrow) > 2.3e-308)
    assert (np.abs(out - ref)[at] <= tolerance * np.abs(ref[at])).all()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("divisor", [3.0, 0.1, -0.7])
def test_remainders_of_doubles(divisor):
    x = np.concatenate([_WIDE, _WIDE * 1e9, [np.nan, np.inf, 0.0, -0.0]])
    body = f"%c = arith.constant {divisor} : f64\n    %r = arith.remf %x, %c : f64"
    assert np.array_equal(run(unary(body, "f64"), x), np.fmod(x, divisor), equal_nan=True)


@needs_ptxas
@pytest.mark.parametrize("chip", ["sm_80", "sm_90"])
def test_functions_of_doubles_assemble_without_spills(chip):
    names = [*DOUBLES, "sin", "cos"]
    body = "\n".join(f"    %r{i + 1} = math.{name} %r{i} : f64" for i, name in enumerate(names))
    kernel = pith.compile(
        unary(f"%r0 = math.absf %x : f64\n{body}\n%r = math.powf %r{len(names)}, %x : f64", "f64"), target=chip
    )
    assembled = ptxas.assemble(kernel.ptx, chip)
    assert set(assembled.spill_bytes.values()) <= {0} and ".extern" not in kernel.ptx.replace(".extern .shared", "")


SOFTMAX = """
#xy = affine_map<(i, j) -> (i, j)>
#x = affine_map<(i, j) -> (i)>
func.func private @exp(%x: tensor<?x?xf64>, %m: tensor<?xf64>, %e: tensor<?x?xf64>) -> tensor<?x?xf64> {
  %r = linalg.generic {indexing_maps = [#xy, #x, #xy], iterator_types = ["parallel", "parallel"]}
      ins(%x, %m : tensor<?x?xf64>, tensor<?xf64>) outs(%e : tensor<?x?xf64>) {
  ^bb0(%a: f64, %b: f64, %o: f64):
    %d = arith.subf %a, %b : f64
    %p = math.exp %d : f64
    linalg.yield %p : f64
  } -> tensor<?x?xf64>
  return %r : tensor<?x?xf64>
}
func.func private @divide(%x: tensor<?x?xf64>, %s: tensor<?xf64>, %e: tensor<?x?xf64>) -> tensor<?x?xf64> {
  %r = linalg.generic {indexing_maps = [#xy, #x, #xy], iterator_types = ["parallel", "parallel"]}
      ins(%x, %s : tensor<?x?xf64>, tensor<?xf64>) outs(%e : tensor<?x?xf64>) {
  ^bb0(%a: f64, %b: f64, %o: f64):
    %d = arith.divf %a, %b : f64
    linalg.yield %d : f64
  } -> tensor<?x?xf64>
  return %r : tensor<?x?xf64>
}
func.func @softmax(%x: tensor<?x?xf64>) -> tensor<?x?xf64> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %low = arith.constant 0xFFF0000000000000 : f64
  %zero = arith.constant 0.0 : f64
  %m = tensor.dim %x, %c0 : tensor<?x?xf64>
  %n = tensor.dim %x, %c1 : tensor<?x?xf64>
  %line = tensor.empty(%m) : tensor<?xf64>
  %whole = tensor.empty(%m, %n) : tensor<?x?xf64>
  %lows = linalg.fill ins(%low : f64) outs(%line : tensor<?xf64>) -> tensor<?xf64>
  %most = linalg.reduce { arith.maximumf } ins(%x : tensor<?x?xf64>) outs(%lows : tensor<?xf64>) dimensions = [1]
  %e = func.call @exp(%x, %most, %whole) : (tensor<?x?xf64>, tensor<?xf64>, tensor<?x?xf64>) -> tensor<?x?xf64>
  %zeros = linalg.fill ins(%zero : f64) outs(%line : tensor<?xf64>) -> tensor<?xf64>
  %sum = linalg.reduce { arith.addf } ins(%e : tensor<?x?xf64>) outs(%zeros : tensor<?xf64>) dimensions = [1]
  %r = func.call @divide(%e, %sum, %whole) : (tensor<?x?xf64>, tensor<?xf64>, tensor<?x?xf64>) -> tensor<?x?xf64>
  return %r : tensor<?x?xf64>
}
"""


def test_a_softmax_of_doubles_made_of_functions():
    x = np.random.default_rng(1).standard_normal((13, 37)) * 30
    x[2, 3] = -np.inf
    exact = np.exp((x - x.max(1, keepdims=True)).astype(np.longdouble))
    out = pith.compile(SOFTMAX, target="emulate:sm_90", entry="softmax")(x)
    np.testing.assert_allclose(out, (exact / exact.sum(1, keepdims=True)).astype("f8"), rtol=3e-15)


def test_functions_of_narrow_types_are_rounded_once():
    x = np.linspace(-8, 8, 1001).astype("f2")
    out = run(unary("%r = math.exp %x : f16", "f16"), x)
    assert np.abs(out - np.exp(x.astype("f8"))).max() <= 0.51 * np.spacing(out).astype("f8").max()


def test_functions_without_an_expansion_are_refused():
    with pytest.raises(PassError, match=r"'math\.atan' op has no GPU lowering for f32"):
        pith.compile(unary("%r = math.atan %x : f32"), target="sm_90")
    with pytest.raises(PassError, match=r"'math\.atan' op has no GPU lowering for f64"):
        pith.compile(unary("%r = math.atan %x : f64", "f64"), target="sm_90")
