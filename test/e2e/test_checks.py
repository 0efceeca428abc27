"""Asserts of imported programs become errors of the caller, and memory stays safe."""

import pith
import pytest

torch = pytest.importorskip("torch")


class Lookup(torch.nn.Module):
    """An embedding: torch-mlir guards its indices with ``cf.assert``."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(10, 4)

    def forward(self, indices):
        return self.table(indices) * 2


@pytest.fixture(scope="module")
def compiled():
    module = Lookup().eval()
    example = (torch.tensor([1, 2, 3]),)
    return module, pith.compile(module, example, dynamic_shapes={"indices": {0: "n"}})


def test_indices_in_range(compiled):
    module, kernel = compiled
    indices = torch.tensor([0, 9, 3, 9])
    torch.testing.assert_close(kernel(indices), module(indices).detach())


@pytest.mark.parametrize(
    ("indices", "message"),
    [([1, 10], "smaller than dim size"), ([-1, 2], "larger or equal to 0"), ([2**40, 1], "smaller than dim size")],
)
def test_indices_out_of_range_raise(compiled, indices, message):
    module, kernel = compiled
    with pytest.raises(pith.CheckError, match=message):
        kernel(torch.tensor(indices))
    good = torch.tensor([5])
    torch.testing.assert_close(kernel(good), module(good).detach())
