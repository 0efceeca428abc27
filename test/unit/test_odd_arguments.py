"""Arguments that are no arrays, no integers or no names: a typed error says so, wherever they are passed."""

import numpy as np
import pith
import pytest
import torch

W = np.eye(4, dtype=np.float32)
A = pith.compress(W, "csr")
X = np.ones((4, 3), np.float32)
MASKED = np.ma.masked_array(X, X > 0)
QUANTIZED = torch.quantize_per_tensor(torch.ones(4, 4), 0.1, 0, torch.qint8)


@pytest.mark.parametrize(
    "call",
    [
        lambda m: pith.matmul(A, m),
        lambda m: pith.linear(m.T, A),
        lambda m: pith.linear(X.T, A, bias=m[:, 0]),
        lambda m: pith.matmul(pith.quantize(A), m),
        lambda m: pith.matmul(pith.dynamic(W), m),
        lambda m: pith.dynamic(m) @ X.T,
        lambda m: pith.einsum("ij,jk->ik", W, m),
        lambda m: pith.detect(m, 1),
        lambda m: pith.Pattern.from_mask(m),
        lambda m: pith.Pattern.top_k(m, 1),
        lambda m: pith.route(m),
        lambda m: pith.compress(m, "csr"),
        lambda m: pith.prune(m, "csr"),
        lambda m: pith.infer_format(m),
        lambda m: A + np.ma.masked_array(W, W > 0),
        lambda m: A[m[:, 0].astype(int)],
    ],
)
def test_masks_are_not_ignored(call):
    with pytest.raises(pith.Error, match="mask would be ignored"):
        call(MASKED)


def test_masks_are_not_ignored_by_kernels():
    kernel = pith.compile("func.func @f(%x: tensor<?x3xf32>) -> tensor<?x3xf32> { return %x : tensor<?x3xf32> }")
    np.testing.assert_array_equal(kernel(X), X)
    with pytest.raises(pith.ArgumentError, match="mask would be ignored"):
        kernel(MASKED)
    np.testing.assert_array_equal(kernel(np.matrix(X)), X)
    np.testing.assert_array_equal(kernel(X.view(np.recarray)), X)


def test_matrices_are_arrays():
    """A ``numpy.matrix`` has two dimensions whatever is done with it."""
    m = np.matrix(W)
    assert pith.compress(m, "csr").nse == 4 and pith.infer_format(m) is not None
    np.testing.assert_array_equal(pith.prune(m, "csr", density=0.25), pith.prune(W, "csr", density=0.25))
    np.testing.assert_array_equal(A @ np.matrix(X), X)


@pytest.mark.parametrize("key", [np.array([np.nan]), [0.5], 1.5, np.inf, "a", (0, np.array([np.nan]))])
def test_indices_that_are_no_integers(key):
    """SciPy reads NaN as some number, and memory far away."""
    with pytest.raises(pith.CheckError, match="index of a 4x4 matrix"):
        A[key]


def test_indices_of_torch():
    np.testing.assert_array_equal(A[torch.tensor([2, 0])].to_dense(), W[[2, 0]])
    np.testing.assert_array_equal(A[:, torch.tensor([True, False, False, True])].to_dense(), W[:, [0, 3]])


@pytest.mark.parametrize("name", [3, None, ["auto"], X, torch.ones(3)])
def test_names_that_are_no_strings(name):
    for call in (
        lambda: pith.matmul(A, X, variant=name),
        lambda: pith.linear(X.T, A, variant=name),
        lambda: pith.linear(X.T, A, activation=name) if name is not None else A @ X.T[0, :2],
        lambda: pith.prune(W, "csr", score=name, density=0.5) if name is not None else A @ X.T[0, :2],
        lambda: pith.einsum(name, W, X),
        lambda: pith.Level(name),
    ):
        with pytest.raises(pith.Error):
            call()


@pytest.mark.parametrize("name", ["fast", "", "AUTO", "dense:"])
def test_variants_that_do_not_exist(name):
    filters, images = np.ones((2, 4, 1, 1), np.float32), np.ones((1, 4, 3, 3), np.float32)
    stored = pith.compress(pith.prune(filters, "MCRS: C0(2:4)"), "MCRS: C0(2:4)")
    for call in (
        lambda: pith.matmul(W, X, variant=name),
        lambda: pith.matmul(torch.eye(4), torch.ones(4, 3), variant=name),
        lambda: pith.linear(X.T, pith.quantize(W, "dense"), variant=name),
        lambda: pith.matmul(pith.quantize(W, "dense"), X, variant=name),
        lambda: pith.conv2d(images, filters, variant=name),
        lambda: pith.conv2d(images, stored, variant=name),
        lambda: pith.conv2d(images, stored, activation="relu", variant=name),
    ):
        with pytest.raises(pith.UnsupportedError, match="variant"):
            call()


@pytest.mark.parametrize("number", ["", "a", b"ab", [], (1, 2), [[1], [2, 3]], np.zeros(0, int), X, torch.ones(3), A])
def test_integers_that_are_none(number):
    for call in (
        lambda: pith.Pattern.from_lengths([1], number),
        lambda: pith.Pattern.from_routing([1], number),
        lambda: pith.Pattern.top_k(np.ones(9), number),
        lambda: pith.route(X, number),
        lambda: pith.Ragged.from_padded(np.ones((2, 3, 1), np.float32), [1, 2]).to_padded(number),
        lambda: pith.BSR(number, 4),
        lambda: pith.quantize(A, bits=number),
    ):
        with pytest.raises(pith.Error):
            call()


def test_truth_values_are_integers():
    experts, gates = pith.route(X, True)
    assert experts.shape == gates.shape == (4, 1)
    assert pith.detect(W, 1, deterministic=None).count == 4


@pytest.mark.parametrize("values", [[[1], [2, 3]], QUANTIZED, torch.ones(2, device="meta"), None, np.full(2, "a")])
def test_lists_that_are_no_arrays(values):
    for call in (
        lambda: pith.Pattern.from_indices(values, sizes=4),
        lambda: pith.Pattern.from_lengths(values, 4),
        lambda: pith.Pattern.from_mask(values),
        lambda: pith.Ragged(np.ones((3, 1), np.float32), values),
        lambda: pith.SparseTensor.from_coordinates([[0], [1]], values, (4, 4)),
        lambda: pith.SparseTensor.from_coordinates(values, np.ones(2), (4, 4)),
        lambda: pith.detect(W, 1, threshold=values),
    ):
        with pytest.raises(pith.Error):
            call()


@pytest.mark.parametrize("shape", [None, 4, (4, None), "ab", (4.0, 4)])
def test_shapes_that_are_none(shape):
    with pytest.raises(pith.ShapeError, match="a shape is a sequence of integers"):
        pith.SparseTensor.from_coordinates([[0], [1]], np.ones(1), shape)


def test_dense_sums_that_do_not_fit():
    with pytest.raises(pith.ShapeError, match=r"\(3, 3\) and a tensor of shape \(4, 4\)"):
        A + np.ones((3, 3), np.float32)
    with pytest.raises(pith.DTypeError):
        A + np.full((4, 4), "a")
    np.testing.assert_array_equal(A - np.ones((4, 4), bool), W - 1)
    with pytest.raises(pith.ArgumentError, match=r"A.to_dense\(\) \+ -1"):
        A - 1
    with pytest.raises(TypeError, match="for -"):
        A - "a"


def test_storage_that_numpy_does_not_read():
    for call in (lambda: pith.compress(QUANTIZED, "csr"), lambda: pith.prune(QUANTIZED, "csr")):
        with pytest.raises(pith.DTypeError, match="no storage kernels can read"):
            call()


def test_float8_is_pruned_to_a_density():
    w = torch.arange(16.0).reshape(4, 4).to(torch.float8_e4m3fn)
    assert pith.prune(w, "csr", density=0.25).float().count_nonzero() == 4


def test_modules_are_no_tensors():
    with pytest.raises(pith.ArgumentError, match="expected an array, got Linear"):
        pith.matmul(A, torch.nn.Linear(4, 3))


@pytest.mark.parametrize("path", [None, 3, ["a.pith"], X, A, "a\0.mtx"])
def test_files_that_have_no_name(path):
    kernel = pith.compile("func.func @f(%x: tensor<?xf32>) -> tensor<?xf32> { return %x : tensor<?xf32> }")
    for call in (
        lambda: pith.read(path),
        lambda: pith.write(path, A),
        lambda: pith.load(path),
        lambda: kernel.save(path),
        lambda: pith.save([kernel], path),
        lambda: pith.save(path, "a.pith"),
    ):
        with pytest.raises(pith.ArgumentError):
            call()


def test_files_may_be_named_by_bytes(tmp_path):
    name = str(tmp_path / "a.mtx").encode()
    pith.write(name, A)
    np.testing.assert_array_equal(pith.read(name).to_dense(), W)


LINEAR = torch.nn.Linear(4, 2).eval()


@pytest.mark.parametrize(
    "call",
    [
        lambda: pith.compile(LINEAR, (torch.ones(2, 4),), dynamic_shapes=True),
        lambda: pith.compile(LINEAR, (torch.ones(2, 4),), dynamic_shapes=(True,)),
        lambda: pith.compile(LINEAR, (torch.ones(2, 4),), path=["auto"]),
        lambda: pith.compile(LINEAR, (torch.ones(2, 4),), sparsity={1: "csr"}),
        lambda: pith.compile(LINEAR, (torch.ones(2, 4),)).ir(X),
        lambda: pith.compile(LINEAR, (torch.ones(2, 4),)).dump(None),
        lambda: pith.attention(*[np.ones((1, 2, 4, 3), np.float32)] * 3, causal=np.ones((4, 4))),
        lambda: pith.torch.sparse_attention(torch.ones(1, 2, 4, 3, requires_grad=True), torch.ones(3), torch.ones(3)),
        lambda: pith.torch.SparseLinear("csr", -1, 4),
        lambda: pith.torch.SparseLinear("csr", 4, 4, bias=np.ones(4)),
        lambda: pith.torch.MaskedLinear("a", 4),
        lambda: pith.torch.MoE(0, 4, 2),
        lambda: pith.torch.MoE(4, 4, None),
        lambda: pith.torch.MoE(4, 4, 2)(torch.tensor(1.0)),
        lambda: pith.torch.MoE(4, 4, 2)(X),
        lambda: pith.torch.SparseLinear.from_linear(torch.nn.ReLU(), "csr"),
        lambda: pith.torch.MaskedLinear.from_linear(None),
        lambda: pith.torch.QuantizedLinear(LINEAR, pith.Quantized),
        lambda: pith.torch.sparsify_(None, {"0": "csr"}),
    ],
)
def test_torch_s_door(call):
    with pytest.raises(pith.Error):
        call()


def test_functions_that_are_built_into_torch():
    x = torch.linspace(-1, 1, 6)
    torch.testing.assert_close(pith.compile(torch.relu, (x,))(x), torch.relu(x))
