"""Complex numbers inside models, as rotary embeddings have them."""

import pith
import pytest
import torch


class Rotary(torch.nn.Module):
    """Pairs of features are turned by angles of their place."""

    def __init__(self, places=16, features=16):
        super().__init__()
        self.linear = torch.nn.Linear(64, 64)
        self.turns = torch.nn.Buffer(torch.polar(torch.ones(places, features // 2), torch.randn(places, features // 2)))

    def forward(self, x):
        q = self.linear(x).reshape(x.shape[0], -1, 4, 16)
        pairs = torch.view_as_complex(q.reshape(*q.shape[:-1], -1, 2))
        return torch.view_as_real(pairs * self.turns[None, :, None]).flatten(3)


def test_rotary_embeddings():
    torch.manual_seed(0)
    module = Rotary().eval()
    k = pith.compile(module, (torch.randn(2, 16, 64),), dynamic_shapes=({0: "batch"},))
    for batch in (1, 3):
        x = torch.randn(batch, 16, 64)
        torch.testing.assert_close(k(x), module(x).detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_products_of_complex_numbers(dtype):
    class Products(torch.nn.Module):
        def forward(self, z, w):
            return z * w, z.real - w.imag, torch.complex(z.real, w.real) * z

    z, w = (torch.randn(3, 7, dtype=dtype) for _ in range(2))
    for got, expected in zip(pith.compile(Products(), (z, w))(z, w), Products()(z, w)):
        torch.testing.assert_close(torch.as_tensor(got), expected)


def test_sums_of_complex_numbers():
    """torch-mlir ends the process where complex numbers are summed."""

    class Sums(torch.nn.Module):
        def forward(self, z, w):
            return z + w, z - w, -z, (z * w).sum(0), w.sum(), z.mean(1), torch.add(z, w, alpha=3), torch.mv(z, w[0])

    z, w = (torch.randn(3, 7, dtype=torch.complex64) for _ in range(2))
    for got, expected in zip(pith.compile(Sums(), (z, w))(z, w), Sums()(z, w)):
        torch.testing.assert_close(torch.as_tensor(got), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int32])
def test_real_and_complex_operands(dtype):
    """Of numbers the sums added the real part to both parts; of real tensors they were refused."""

    class Mixed(torch.nn.Module):
        def forward(self, z, w, x):
            sums = z + x, x + z, z - x, x - z, torch.add(z, x, alpha=2), torch.sub(x[0], z, alpha=3)
            numbers = z + 1.5, 2 - z, z - (1 + 2j), torch.add(z, 3, alpha=2)
            return *sums, *numbers, z * x, z / x, x / z, z / w, z / 2

    z, w = torch.randn(2, 3, 7, dtype=torch.complex64)
    x = torch.randn(3, 7).mul(4).to(dtype) + 20
    made = pith.compile(Mixed(), (z, w, x))(z, w, x)
    for got, expected in zip(made, Mixed()(z, w, x), strict=True):
        torch.testing.assert_close(torch.as_tensor(got), expected)


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_numbers_as_factors_and_divisors(dtype):
    """Of numbers torch-mlir lowers no product with a complex tensor, and takes complex ones for nothing."""

    class Numbers(torch.nn.Module):
        def forward(self, z):
            x = z.real
            products = z * 3, 2.5 * z, z * True, z * (1 - 2j), 1j * z, torch.mul(z, -1)
            quotients = 3 / z, 2.5 / z, z / 3, z / -0.5, 1j / z, z / (2 + 1j)
            return *products, *quotients, x * 1j, 2j * x, x + 1j, 1j - x, x - 2j, x.int() * 2j, 1j / x

    z = torch.randn(3, 7, dtype=dtype) + 4
    made = pith.compile(Numbers(), (z,))(z)
    for got, expected in zip(made, Numbers()(z), strict=True):
        torch.testing.assert_close(torch.as_tensor(got), expected)


def test_what_torch_mlir_ends_the_process_for():
    class Refused(torch.nn.Module):
        def forward(self, z):
            return z.prod(0)

    with pytest.raises(pith.ImportProgramError, match="of complex tensors is not supported"):
        pith.compile(Refused(), (torch.randn(3, 3, dtype=torch.complex64),))
