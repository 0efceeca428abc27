"""Attention of compiled PyTorch modules: fused where it can be, and right in any case; against float64."""

import copy
import math

import pith
import pytest
import torch
from torch.nn import functional as F


class Sdpa(torch.nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.options = options

    def forward(self, q, k, v, mask=None):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, **self.options)


def _operands(batch=2, heads=4, queries=37, keys=45, depth=32, width=32, groups=None):
    generator = torch.Generator().manual_seed(0)
    groups = heads if groups is None else groups
    shapes = ((batch, heads, queries, depth), (batch, groups, keys, depth), (batch, groups, keys, width))
    return [torch.randn(shape, generator=generator) for shape in shapes]


def _error(out, reference):
    """Relative; NaN where a result is NaN, which fails every bound."""
    return ((out.double() - reference).norm() / reference.norm()).item()


def _wide(x):
    return x.double() if isinstance(x, torch.Tensor) and x.is_floating_point() else x


def _check(module, args, tolerance=1e-6, fused=True, **options):
    kernel = pith.compile(module, tuple(args), **options)
    reference = copy.deepcopy(module).double()(*map(_wide, args))
    assert _error(kernel(*args), reference) < tolerance
    assert ("fused, no scores in memory" in kernel.explain()) == fused
    assert ("pith.attention" in kernel.ir("pith")) == fused
    return kernel


@pytest.mark.parametrize("depth, width", [(64, 64), (96, 32), (128, 128)])
def test_head_sizes(depth, width):
    _check(Sdpa(), _operands(depth=depth, width=width))


@pytest.mark.parametrize(
    "options, queries, keys",
    [({"is_causal": True}, 37, 45), ({"scale": 0.3}, 130, 65), ({"is_causal": True, "scale": 2.0}, 16, 200)],
)
def test_options(options, queries, keys):
    _check(Sdpa(**options), _operands(queries=queries, keys=keys))


@pytest.mark.parametrize(
    "shape, boolean", [((2, 1, 37, 45), True), ((37, 45), False), ((2, 1, 1, 45), True), ((4, 1, 45), False)]
)
def test_masks(shape, boolean):
    generator = torch.Generator().manual_seed(1)
    mask = torch.randn(shape, generator=generator)
    _check(Sdpa(), [*_operands(), mask > -0.5 if boolean else mask])


def test_queries_that_see_nothing():
    q, k, v = _operands()
    mask = torch.ones(37, 45, dtype=torch.bool)
    mask[3] = False
    out = pith.compile(Sdpa(), (q, k, v, mask))(q, k, v, mask)
    assert not out[:, :, 3].any() and not out.isnan().any()
    least = torch.where(mask, 0.0, torch.finfo(torch.float32).min)
    _check(Sdpa(), [q, k, v, least])  # what transformers write: every key as much as another


def test_equal_shapes_share_no_memory():
    """Copies of query, key and value as large as the result: equal empty tensors are one to the compiler."""

    class Heads(torch.nn.Module):
        def forward(self, q, k, v):
            q, k, v = (x.view(1, 128, 2, 64).transpose(1, 2) for x in (q, k, v))
            return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(1, 128, 128)

    _check(Heads(), torch.randn(3, 1, 128, 128, generator=torch.Generator().manual_seed(2)).unbind())


def test_layers_that_share_a_mask_of_the_shape_of_their_heads():
    """The second layer's values are as large as the mask, which they must not overwrite: T5 on 16 tokens."""

    class Layers(torch.nn.Module):
        def forward(self, x, bias):
            mask = torch.where(torch.ones(2, 1, 16, 16, dtype=torch.bool), bias.permute(2, 0, 1)[None], -1e30)
            for _ in range(2):
                heads = x.view(2, 16, 4, 16).transpose(1, 2)
                y = F.scaled_dot_product_attention(heads, heads, heads, mask.contiguous(), scale=1.0)
                x = x + y.transpose(1, 2).reshape(2, 16, 64)
            return x

    generator = torch.Generator().manual_seed(3)
    _check(Layers(), [torch.randn(2, 16, 64, generator=generator), torch.randn(16, 16, 4, generator=generator)])


def test_grouped_heads_and_other_ranks():
    _check(Sdpa(enable_gqa=True), _operands(groups=2))
    q, k, v = (x[0] for x in _operands())
    _check(Sdpa(), [q, k, v, torch.rand(4, 37, 45) > 0.3])
    _check(Sdpa(), [q[0], k[0], v[0]])


@pytest.mark.parametrize("dtype, tolerance", [(torch.float16, 2e-3), (torch.bfloat16, 1.5e-2), (torch.float64, 1e-14)])
def test_types(dtype, tolerance):
    q, k, v = (x.to(dtype) for x in _operands())
    _check(Sdpa(), [q, k, v, torch.randn(37, 45, generator=torch.Generator().manual_seed(3)).to(dtype)], tolerance)


def test_few_queries_are_products():
    kernel = _check(Sdpa(), _operands(queries=3), fused=False)
    assert "products and a softmax, faster for so few queries" in kernel.explain()
    _check(Sdpa(), [*_operands(queries=3), torch.rand(3, 45) > 0.3], fused=False)
    _check(Sdpa(is_causal=True), _operands(queries=3), fused=False)


@pytest.mark.parametrize("queries", [3, 37])
def test_one_head_of_queries_meets_those_of_all_keys(queries):
    q, k, v = _operands(queries=queries)
    _check(Sdpa(), [q[:, :1], k, v], fused=False)
    _check(Sdpa(), [q[0, :1], k[0], v[0]], fused=False)


def test_a_mask_shared_by_keys_is_products():
    _check(Sdpa(), [*_operands(), torch.randn(37, 1)], fused=False)


def test_any_batch_and_length():
    class Masked(torch.nn.Module):
        def forward(self, x, mask):
            heads = x.view(x.shape[0], x.shape[1], 2, 16).transpose(1, 2)
            return F.scaled_dot_product_attention(heads, heads, heads, attn_mask=mask[:, None, None, :])

    shapes = {"x": {0: "batch", 1: "tokens"}, "mask": {0: "batch", 1: "tokens"}}
    example = torch.randn(2, 20, 32), torch.ones(2, 20, dtype=torch.bool)
    kernel = pith.compile(Masked(), example, dynamic_shapes=shapes)
    for batch, tokens in ((2, 20), (3, 7), (1, 141)):
        x, mask = torch.randn(batch, tokens, 32), torch.rand(batch, tokens) > 0.3
        mask[:, 0] = True
        assert _error(kernel(x, mask), Masked()(x.double(), mask)) < 1e-6


def test_attention_of_attention_at_any_size():
    """Heads are cut from what another layer made: the sizes of those reshapes are computed before that is."""

    class Layers(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = torch.nn.MultiheadAttention(12, 2)
            self.second = torch.nn.MultiheadAttention(12, 3, batch_first=True)

        def forward(self, x):
            x = F.softshrink(x) * 0.5 + 0.25
            x = self.first(x, x, x)[0]
            return self.second(x, x, x)[0]

    torch.manual_seed(0)
    module = Layers().eval()
    kernel = pith.compile(module, (torch.randn(2, 6, 12),), dynamic_shapes={"x": {0: "rows", 1: "columns"}})
    wide = copy.deepcopy(module).double()
    for rows, columns in ((2, 6), (5, 3), (1, 40)):
        x = torch.randn(rows, columns, 12)
        with torch.no_grad():
            assert _error(kernel(x), wide(x.double())) < 1e-6


@pytest.mark.parametrize("causal", [False, True])
def test_any_head_size(causal):
    module = Sdpa(is_causal=causal)
    dims = {3: "size"}
    kernel = pith.compile(module, _operands(), dynamic_shapes={"q": dims, "k": dims, "v": dims})
    for size in (32, 5, 71):
        args = _operands(depth=size, width=size)
        assert _error(kernel(*args), module(*map(_wide, args))) < 1e-6


class Spelled(torch.nn.Module):
    """Attention as models write it."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        self.register_buffer("seen", torch.tril(torch.ones(1, 1, 64, 64)))

    def forward(self, q, k, v, mask):
        scores = q @ k.transpose(2, 3)
        if self.kind == "scaled":
            return F.softmax(scores * 0.3, dim=-1) @ v
        if self.kind == "transformers":
            scores = scores / math.sqrt(q.size(-1)) + mask
            return F.dropout(F.softmax(scores, dim=-1).to(q.dtype), 0.1, self.training) @ v
        if self.kind == "gpt":
            scores = (scores / 4.0).masked_fill(self.seen[:, :, : q.size(2), : k.size(2)] == 0, float("-inf"))
            return F.softmax(scores, dim=-1) @ v
        weights = F.softmax(scores + mask, dim=2 if self.kind == "over queries" else -1)
        return weights @ v if self.kind != "returned" else torch.cat([weights @ v, weights @ v + weights.sum()])


@pytest.mark.parametrize("kind", ["scaled", "transformers", "gpt"])
def test_spelled_out(kind):
    mask = torch.where(torch.rand(2, 1, 37, 45) > 0.3, 0.0, torch.finfo(torch.float32).min)
    _check(Spelled(kind).eval(), [*_operands(), mask])


@pytest.mark.parametrize("kind", ["over queries", "returned"])
def test_what_looks_like_attention_is_left_alone(kind):
    _check(Spelled(kind).eval(), [*_operands(), torch.randn(37, 45)], fused=False)


def test_emulated_gpu_takes_masks_too():
    q, k, v = _operands(batch=1, heads=2, queries=37, keys=45, depth=16, width=16)
    for mask in (torch.randn(1, 2, 37, 45), torch.rand(1, 1, 1, 45) > 0.3):
        _check(Sdpa(), [q, k, v, mask], target="emulate:sm_90")
