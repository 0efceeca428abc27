"""Functions of ``math`` in emulated GPU kernels against float64. No GPU is needed."""

import numpy as np
import pith
import pytest
from glue_programs import powers, unary
from pith.errors import PassError


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


def test_functions_of_narrow_types_are_rounded_once():
    x = np.linspace(-8, 8, 1001).astype("f2")
    out = run(unary("%r = math.exp %x : f16", "f16"), x)
    assert np.abs(out - np.exp(x.astype("f8"))).max() <= 0.51 * np.spacing(out).astype("f8").max()


def test_functions_without_an_expansion_are_refused():
    with pytest.raises(PassError, match=r"'math\.atan' op has no GPU lowering for f32"):
        pith.compile(unary("%r = math.atan %x : f32"), target="sm_90")
    with pytest.raises(PassError, match=r"'math\.exp' op has no GPU lowering for f64"):
        pith.compile(unary("%r = math.exp %x : f64", "f64"), target="sm_90")
