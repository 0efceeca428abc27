"""``pith.matmul`` and ``pith.detect`` of arrays on a GPU, under emulation and with the stand-in driver's errors."""

import numpy as np
import pith
import pytest
from pith.functional.matmul.device import matmul_on_device
from pith.functional.matmul.matmul import result_shape
from pith.patterns.device import detect_on_device

TARGET = "emulate:sm_90"
NUMPY = {"f16": np.float16, "f32": np.float32, "i8": np.int8}


def multiply(a, x, right=False, out=None, variant="auto"):
    return matmul_on_device(a, x, out, right, variant, result_shape(a.shape, x.shape, right), TARGET)


CASES = [
    # format, element, shape of the sparse one, of the dense one, whether that is on the left
    ("csr", "f32", (33, 70), (70, 9), False),
    ("csr", "f32", (33, 70), (70,), False),
    ("csr", "f16", (33, 70), (5, 33), True),
    ("C0(2:4)", "f16", (40, 64), (64, 17), False),
    ("C0(2:4)", "f16", (40, 64), (3, 7, 40), True),
    ("C0(2:4)", "i8", (32, 64), (64, 16), False),
    ("C1(2:4)->C0(2:4)", "f32", (30, 64), (2, 3, 64, 5), False),
    ("dia", "f32", (30, 20), (20, 8), False),
]


@pytest.mark.parametrize(("text", "element", "shape", "dense", "right"), CASES)
def test_products(text, element, shape, dense, right):
    rng, dtype = np.random.default_rng(dense), NUMPY[element]
    w = pith.prune((rng.standard_normal(shape) * 4 * (rng.random(shape) < 0.3)).astype(dtype), text)
    x = (rng.standard_normal(dense) * 4).astype(dtype)
    out = multiply(pith.compress(w, text), x, right)
    ref = np.matmul(x.astype("f8"), w) if right else np.matmul(w.astype("f8"), x)
    assert out.shape == ref.shape and out.dtype == (np.int32 if element == "i8" else dtype)
    assert np.linalg.norm(out - ref) <= (1e-3 if element == "f16" else 1e-6) * np.linalg.norm(ref)


def test_products_into_an_array():
    a, x = pith.compress(np.eye(6, dtype="f4"), "csr"), np.arange(12, dtype="f4").reshape(6, 2)
    out = np.full((6, 2), np.nan, "f4")
    assert multiply(a, x, out=out) is out
    np.testing.assert_array_equal(out, x)
    with pytest.raises(pith.ShapeError, match=r"the result has shape \(6, 2\), got \(6, 3\)"):
        multiply(a, x, out=np.zeros((6, 3), "f4"))
    with pytest.raises(pith.DTypeError, match="the result is float32, got float64"):
        multiply(a, x, out=np.zeros((6, 2)))


def test_products_that_are_refused():
    a = pith.compress(np.eye(6, dtype="f4"), "csr")
    with pytest.raises(pith.DTypeError, match="expects float32 like the sparse operand, got float64"):
        multiply(a, np.ones((6, 2)))
    with pytest.raises(pith.UnsupportedError, match="no variant 'dense' on a GPU"):
        multiply(a, np.ones((6, 2), "f4"), variant="dense")


@pytest.mark.parametrize(("axes", "granularity"), [(None, (4, 8)), (1, 2), ((1, 0), (3, 1))])
@pytest.mark.parametrize("dtype", ["f2", "f4", "u1", "?"])
def test_detection(axes, granularity, dtype):
    rng = np.random.default_rng(1)
    x = (rng.random((37, 50)) * 9 * (rng.random((37, 50)) < 0.02)).astype(dtype)
    found = detect_on_device(x, granularity, axes, 0.5, True, TARGET)
    wanted = pith.detect(x, granularity, axes=axes, threshold=0.5, deterministic=True)
    assert (found.sizes, found.granularity) == (wanted.sizes, wanted.granularity)
    np.testing.assert_array_equal(
        sorted(found.coordinates.reshape(len(found.coordinates), -1).tolist()),
        sorted(wanted.coordinates.reshape(len(wanted.coordinates), -1).tolist()),
    )


def test_detections_that_are_refused():
    with pytest.raises(pith.UnsupportedError, match="expects one threshold"):
        detect_on_device(np.ones((3, 4), "f4"), 1, None, np.ones(4), False, TARGET)
    with pytest.raises(pith.DTypeError, match="got complex64"):
        detect_on_device(np.ones((3, 4), "c8"), 1, None, 0.0, False, TARGET)
    with pytest.raises(pith.ShapeError, match="got a scalar"):
        detect_on_device(np.float32(1), 1, None, 0.0, False, TARGET)


class OnGpu:
    """What looks like an array on a GPU to functions of the host."""

    shape, ndim, dtype = (3, 4), 2, np.dtype("f4")

    def __dlpack_device__(self):
        return 2, 0

    def __dlpack__(self, **options):
        raise BufferError


@pytest.mark.parametrize(
    "call",
    [
        lambda x: pith.einsum("mk,kn->mn", x, x),
        lambda x: pith.matmul(pith.dynamic(x), np.ones((4, 2), "f4")),
        lambda x: pith.linear(x, pith.compress(np.ones((2, 4), "f4"), "csr")),
    ],
    ids=["einsum", "dynamic", "linear"],
)
def test_functions_of_the_host_say_what_to_do(call):
    with pytest.raises(pith.DeviceError, match="on the CPU") as caught:
        call(OnGpu())
    assert "target='sm_90'" in str(caught.value)


@pytest.mark.parametrize("path", ["loops", "sparsifier"])
def test_paths_are_those_of_the_cpu(path):
    source = "func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> { return %x : tensor<4xf32> }"
    for target in ("sm_90", TARGET):
        with pytest.raises(pith.UnsupportedError, match=f"path={path!r} is for CPUs") as caught:
            pith.compile(source, target=target, path=path)
        assert "path='auto'" in str(caught.value)
        assert pith.compile(source, target=target, path="sparse") is not None
