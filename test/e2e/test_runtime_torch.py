"""torch tensors as kernel arguments: zero copy, every element type, and what is refused."""

from __future__ import annotations

import numpy as np
import pith
import pytest

from test_runtime_call import double_into  # isort: skip

torch = pytest.importorskip("torch")

DTYPES = {
    "f16": torch.float16,
    "bf16": torch.bfloat16,
    "f32": torch.float32,
    "f64": torch.float64,
    "i8": torch.int8,
    "i16": torch.int16,
    "i32": torch.int32,
    "i64": torch.int64,
}


@pytest.fixture(scope="module")
def twice():
    return double_into("f32", "f32")


@pytest.mark.parametrize("dtype", DTYPES)
def test_element_types(dtype):
    function = double_into(dtype, dtype)
    x = torch.randint(-50, 50, (5, 7)).to(DTYPES[dtype])
    y = torch.full((5, 7), 99).to(DTYPES[dtype])
    for _ in range(2):  # the second call may take the fast path, which learns of tensors from the first
        y.fill_(99)
        function(x, y)
        assert torch.equal(y, x + x)


def views(x: torch.Tensor) -> dict[str, torch.Tensor]:
    return {
        "contiguous": x,
        "transposed": x.t().contiguous().t(),
        "sliced": x.repeat_interleave(2, 0).repeat_interleave(3, 1)[::2, ::3],
        "offset": torch.cat([torch.zeros(1), x.flatten()])[1:].view(x.shape),
        "expanded": x[:1].expand(x.shape),
        "negative": torch._neg_view(x),
        "parameter without gradient": torch.nn.Parameter(x, requires_grad=False),
    }


@pytest.mark.parametrize("kind", views(torch.ones(2, 3)))
@pytest.mark.parametrize("layout", ["identity", "strided"])
def test_views(kind, layout, twice):
    function = twice if layout == "identity" else double_into("f32", "f32", "strided")
    x = views(torch.randn(6, 5))[kind]
    for _ in range(2):
        y = torch.full((6, 5), float("nan"))
        function(x, y)
        assert torch.equal(y, x + x)


def test_parameters_go_in_without_a_gradient(twice):
    x, y = torch.nn.Parameter(torch.randn(3, 4)), torch.empty(3, 4)
    for _ in range(2):
        with pytest.raises(pith.ArgumentError, match=r"twice: argument 'x'.*requires a gradient(.|\n)*no_grad"):
            twice(x, y)
        with torch.no_grad():
            twice(x, y)
        assert torch.equal(y, x + x)


G = torch.ones(2, 3, requires_grad=True)
W = pith.compress(np.eye(4, 3, dtype=np.float32), "csr")
Q = torch.ones(1, 1, 4, 8, requires_grad=True)


@pytest.mark.parametrize(
    ("call", "hint"),
    [
        (lambda: pith.linear(G, W), r"pith\.torch\.sparse_linear\(x, values, A, bias\) has gradients"),
        (lambda: pith.linear(G, np.ones((4, 3), np.float32)), r"pith\.torch\.sparse_linear"),
        (lambda: pith.linear(G.detach(), W, bias=torch.ones(4, requires_grad=True)), r"pith\.torch\.sparse_linear"),
        (lambda: pith.matmul(W, G.T), r"pith\.torch\.sparse_linear\(x, values, A\), which is x @ A\.T"),
        (lambda: pith.einsum("mk->m", G), r"pith\.torch\.einsum has gradients"),
        (lambda: pith.attention(Q, Q, Q), r"pith\.torch\.sparse_attention has gradients"),
        (lambda: pith.detect(pith.dynamic(G) @ G.T, 1), r"hint: without them: torch\.no_grad\(\), or tensor\.detach"),
    ],
)
def test_errors_name_what_has_gradients(call, hint):
    with pytest.raises(pith.ArgumentError, match=r"requires a gradient(.|\n)*" + hint):
        call()


X = torch.ones(2, 3)


@pytest.mark.parametrize(
    "x, error, message",
    [
        (X.to("meta"), pith.DeviceError, "expected a tensor on the CPU, got one on meta"),
        (X.to_sparse(), pith.ArgumentError, "layout torch.sparse_coo"),
        (X.double(), pith.DTypeError, r"expected \?x\?xf32, got an array of float64"),
        (X.bool(), pith.DTypeError, "got an array of bool"),
        (X.to(torch.float8_e4m3fn), pith.DTypeError, "no storage kernels can read"),
        (X[0], pith.ShapeError, "rank 2"),
    ],
    ids=["meta", "sparse", "f64", "bool", "f8", "rank"],
)
def test_what_is_refused(twice, x, error, message):
    for _ in range(2):
        with pytest.raises(error, match=rf"twice: argument 'x'.*{message}"):
            twice(x, torch.zeros(2, 3))


def test_outputs_are_written_in_place_or_refused(twice):
    base = torch.full((4, 6), -1.0)
    with pytest.raises(pith.ShapeError, match="row-major"):
        twice(X, base[::2, ::2])
    strided = double_into("f32", "f32", "strided")
    strided(X, base[::2, ::2])
    assert (base[::2, ::2] == 2).all() and (base[1::2] == -1).all()


def test_tensors_and_arrays_mix(twice):
    y = torch.zeros(2, 3)
    twice(X.numpy(), y)
    assert (y == 2).all()
