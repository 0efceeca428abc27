"""Programs in which the size of a tensor depends on values, and what a refused program leaves behind."""

import pytest

pytest.importorskip("torch_mlir")
import pith
import torch


class Function(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.mark.parametrize(
    ("op", "function"),
    [
        (r"aten\.index", lambda x: x[x > 0]),
        (r"aten\.index", lambda x: x[x > 0].sum()),
        (r"aten\.nonzero", torch.nonzero),
        (r"aten\.masked_select", lambda x: torch.masked_select(x, x > 0)),
        (r"aten\._unique2", torch.unique),
    ],
)
def test_sizes_that_only_values_tell_are_refused(op, function):
    with pytest.raises(pith.ImportProgramError, match=rf"{op}.* depends on the values") as e:
        pith.compile(Function(function), (torch.randn(4, 5),))
    assert "torch.where" in e.value.hint


def test_a_program_that_is_refused_leaves_its_example_as_it_was():
    x = torch.randn(4, 8)
    with pytest.raises(pith.ImportProgramError, match="onstraint"):
        pith.compile(Function(lambda a: a @ a.T.reshape(8, 4)), (x,), dynamic_shapes=({0: "n"},))
    torch.testing.assert_close(pith.compile(torch.nn.ReLU(), (x,))(x), x.relu())
