"""``torch.nn.functional.grouped_mm`` in modules: experts of transformers' mixtures."""

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("transformers.integrations.moe")

import pith  # noqa: E402

if not hasattr(torch.nn.functional, "grouped_mm"):
    pytest.skip("torch has no grouped_mm", allow_module_level=True)

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12, torch.bfloat16: 1e-2}


def grouped_mm(x, weight, offs):
    """As transformers calls it: torch's own traces bf16 alone."""
    if x.dtype == torch.bfloat16:
        return torch.nn.functional.grouped_mm(x, weight, offs=offs)
    return torch.ops.transformers.grouped_mm_fallback(x, weight, offs)


class Experts(torch.nn.Module):
    def __init__(self, groups, depth, columns, transposed, dtype=torch.float32):
        super().__init__()
        shape = (groups, columns, depth) if transposed else (groups, depth, columns)
        self.weight, self.transposed = torch.nn.Parameter(torch.randn(shape, dtype=dtype)), transposed

    def forward(self, x, offs):
        weight = self.weight.transpose(-2, -1) if self.transposed else self.weight
        return grouped_mm(x, weight, offs)


def reference(module, x, offs):
    """In float64; rows behind the last group are zero."""
    weight = module.weight.detach().double()
    weight = weight.transpose(-2, -1) if module.transposed else weight
    out, start = x.new_zeros((len(x), weight.shape[2]), dtype=torch.float64), 0
    for matrix, end in zip(weight, offs.tolist()):
        out[start:end] = x[start:end].double() @ matrix
        start = end
    return out


def check(k, module, x, ends):
    offs = torch.tensor(ends, dtype=torch.int32)
    want = reference(module, x, offs)
    assert (k(x, offs).double() - want).norm() <= TOLERANCE[x.dtype] * want.norm()


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("transposed", (True, False))
def test_every_group_multiplies_its_rows(transposed, dtype):
    torch.manual_seed(0)
    module, x = Experts(4, 24, 40, transposed, dtype), torch.randn(57, 24, dtype=dtype)
    k = pith.compile(module, (x, torch.zeros(4, dtype=torch.int32)))
    check(k, module, x, [10, 10, 33, 57])
    check(k, module, x, [0, 0, 0, 57])
    check(k, module, x, [0, 57, 57, 57])
    check(k, module, x, [1, 2, 3, 20])  # rows behind the last group are in none


def test_rows_of_any_number():
    module = Experts(3, 16, 20, True)
    shapes = ({0: torch.export.Dim("rows", min=2)}, None)
    example = (torch.randn(8, 16), torch.tensor([1, 2, 8], dtype=torch.int32))
    k = pith.compile(module, example, dynamic_shapes=shapes)
    for rows in (2, 70, 131):
        check(k, module, torch.randn(rows, 16), [rows // 2, rows // 2, rows])


def test_weights_are_not_copied():
    """What is stored transposed is read so."""
    module = Experts(4, 24, 40, True)
    k = pith.compile(module, (torch.randn(57, 24), torch.zeros(4, dtype=torch.int32)))
    assert "pith.pit_tile" in k.ir("pith") and "linalg.transpose" not in k.ir("pith")


class Histogram(torch.nn.Module):
    def __init__(self, *bounds):
        super().__init__()
        self.bounds = bounds

    def forward(self, x):
        return torch.histc(x, *self.bounds)


@pytest.mark.parametrize("bounds", ((8, 0, 7), (5, -1, 2), (4, 0, 0), (3, 2, 2)), ids=str)
@pytest.mark.parametrize("values", ([0.0, 1, 1, 7, 6.9, 9, -3, 2], [2.0] * 8), ids=("many", "one"))
def test_histograms(values, bounds):
    x, module = torch.tensor(values), Histogram(*bounds)
    assert torch.equal(torch.as_tensor(pith.compile(module, (x,))(x)), module(x))


@pytest.mark.parametrize("bounds", ((5, 0, 3), (7, 0, 10), (13, 0, 31)), ids=str)
def test_edges_of_a_histogram_are_rounded_as_torch_does(bounds):
    x, module = torch.arange(5 * bounds[2] + 1) / 5, Histogram(*bounds)
    assert torch.equal(torch.as_tensor(pith.compile(module, (x,))(x)), module(x))


@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16), ids=str)
def test_mixtral(dtype):
    config = transformers.MixtralConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_local_experts=8,
        num_experts_per_tok=2,
    )
    torch.manual_seed(0)
    model = transformers.MixtralForCausalLM(config).eval().to(dtype)

    class Logits(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, ids):
            return self.model(ids, use_cache=False).logits

    ids = torch.randint(0, 64, (2, 11))
    k = pith.compile(Logits(), (ids,))
    assert "pith.pit_tile" in k.ir("pith")
    with torch.no_grad():
        want = Logits()(ids).double()
    assert (k(ids).double() - want).norm() <= 3 * TOLERANCE[dtype] * want.norm()
