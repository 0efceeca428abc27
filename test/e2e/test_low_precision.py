"""Products of 16-bit floats and integers: random formats and shapes against float64, integers exactly."""

import numpy as np
import pith
import pytest
from cpu_programs import DTYPES, check, poisoned, random_dense, wide
from pith.compiler.kernel import compile_source
from pith.functional.matmul.ir import ACCUMULATORS, RESULTS, matmul_source
from pith.lowering.panel.variant import Roles, default_variant, size_class
from pith.lowering.targets import parse_isa
from test_panel_products import density, random_hss

SEED = 20261121
FIXED = (
    "C0(2:4)",
    "C0(4)->C1",  # a loop of unknown length inside
    "C0(4:4)",
    "C1(2:4)->C0(2:4)",
    "V(4)C0(2:4)",
    "B(4x4)C0(1:2)",
    "B(4x1)C0(2:4)",
    "B(1x16)C0(1:2)",
    "C0(*)",
    "C1(*)->C0(2:4)",
    "B(4x8)C0(*)",
    "C1(bitmask)->C0(1:2)",
)


def extreme(rng: np.random.Generator, shape: tuple[int, ...], element: str) -> np.ndarray:
    """The numbers whose sums of products are largest; any numbers of floating-point types."""
    if DTYPES[element].kind != "i":
        return random_dense(rng, shape, element)
    limits = np.iinfo(DTYPES[element])
    if element == "i8":  # nearly all of one sign: sums grow as fast as they can
        return rng.choice([limits.min] * 9 + [limits.max], shape).astype(DTYPES[element])
    return rng.integers(-1000, 1000, shape).astype(DTYPES[element])


def check_product(rng, text: str, element: str, columns: int, right: bool = False, isa: str = "host", times=None):
    """Compile one product and compare it with float64 or int64, the output poisoned."""
    hss = pith.HSS.parse(text)
    fmt = hss.to_format()
    shape = tuple(int(d) * int(n) for d, n in zip(fmt.divisors(), times or rng.integers(1, 40, 2)))
    keep = pith.prune(random_dense(rng, shape, "f32"), hss, **density(text)) != 0
    dense = np.where(keep, extreme(rng, shape, element), 0).astype(DTYPES[element])
    a = pith.compress(dense, hss)
    x = extreme(rng, (columns, shape[0]) if right else (shape[1], columns), element)
    target = parse_isa(isa)
    roles = Roles.of(fmt, 1 if right else 0)
    variant = default_variant(roles, columns, 4, target)
    source = matmul_source(fmt, element, right, str(variant), size_class(roles, shape[0 if right else 1]))
    out = poisoned((columns, shape[1]) if right else (shape[0], columns), RESULTS.get(element, ACCUMULATORS[element]))
    compile_source(source, "matmul", isa=isa).native(*a.buffers, *a.shape, x, out)
    check(out, wide(x) @ wide(dense) if right else wide(dense) @ wide(x), element)


@pytest.mark.parametrize("element", ["bf16", "f16", "i8", "i16"])
@pytest.mark.parametrize("text", FIXED)
def test_formats(text, element):
    rng = np.random.default_rng(SEED)
    for columns, right in ((1, False), (70, False), (33, True)):
        check_product(rng, text, element, columns, right)


@pytest.mark.parametrize("seed", range(12))
def test_random_formats(seed):
    rng = np.random.default_rng(SEED + seed)
    element = ("bf16", "i8", "f16", "i16")[seed % 4]
    columns = int(rng.choice((1, 2, 5, 8, 24, 64, 100)))
    check_product(rng, random_hss(rng), element, columns, right=bool(seed % 3 == 2))


@pytest.mark.parametrize("element", ["i32", "i64"])
def test_wide_integers(element):
    for text in ("C0(2:4)", "C0(*)", "B(4x4)C0(1:2)"):
        check_product(np.random.default_rng(SEED), text, element, 20)


@pytest.mark.parametrize("text", ["C0(4:4)", "C0(2:4)", "B(4x1)C0(2:4)", "B(1x16)C0(1:2)", "C0(*)", "B(4x8)C0(*)"])
def test_long_rows_of_bytes_are_exact(text):
    """Sums pass 2**24, where f32 stops holding every integer."""
    for columns in (1, 3, 64):
        check_product(
            np.random.default_rng(SEED),
            text,
            "i8",
            columns,
            times=(1, 9000 // pith.HSS.parse(text).to_format().divisors()[1]),
        )


@pytest.mark.parametrize("isa", ["generic", "emulate:avx2", "emulate:avx512"])
@pytest.mark.parametrize("element", ["bf16", "f16", "i8"])
def test_other_machines(isa, element):
    """Vectors of any width, with and without instructions for f16."""
    for text in ("C0(2:4)", "B(4x4)C0(1:2)", "C0(4:4)"):
        for columns in (1, 50):
            check_product(np.random.default_rng(SEED), text, element, columns, isa=isa, times=(3, 16))


def test_bf16_rounds_to_nearest_even_and_keeps_nan():
    """Results are rounded by pith's own code: ties, infinities, NaN, subnormals."""
    two = pith.compress(np.ones((9, 2), DTYPES["bf16"]), "csr")
    high = np.array([1, 1, 1 + 2**-7, -1, np.inf, -np.inf, np.nan, 3.39e38, 1e-40] * 5, np.float32)
    low = np.array([2**-8, 2**-8 + 2**-15, 2**-8, -(2**-8), 1, 1, 1, 1e36, 1e-41] * 5, np.float32)
    x = np.stack([high, low]).astype(DTYPES["bf16"])
    out = np.asarray(pith.matmul(two, x, variant="sparse")).astype(np.float32)
    expected = (x[0].astype(np.float32) + x[1].astype(np.float32)).astype(DTYPES["bf16"]).astype(np.float32)
    np.testing.assert_array_equal(out, np.broadcast_to(expected, out.shape))
