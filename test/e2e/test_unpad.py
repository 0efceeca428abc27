"""``pith.torch.unpad``: encoders on padded batches compute what torch computes, without the padding."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

import pith  # noqa: E402
from pith.runtime.cache import kernel_cache  # noqa: E402
from pith.torch import attention, intervals_of, unpad  # noqa: E402

SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 56,
    "vocab_size": 100,
    "max_position_embeddings": 64,
}

#: Of f32 results, as ||out - ref|| / ||ref||.
TOLERANCE = 1e-5


def bert(**changes):
    torch.manual_seed(0)
    return transformers.BertModel(transformers.BertConfig(**{**SMALL, **changes})).eval()


@pytest.fixture(scope="module")
def model():
    return bert()


@pytest.fixture(scope="module")
def fast(model):
    return unpad(model)


def batch(lengths, size=None, seed=0):
    """Ids of a padded batch, random also where padding is, and the mask."""
    size = max(lengths) if size is None else size
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, SMALL["vocab_size"], (len(lengths), size), generator=generator)
    return ids, (torch.arange(size) < torch.tensor(lengths).unsqueeze(1)).long()


def reference(model, ids, mask, **inputs):
    """Last hidden states in float64."""
    import copy

    with torch.inference_mode():
        return copy.deepcopy(model).double()(input_ids=ids, attention_mask=mask, **inputs).last_hidden_state


def error(out, expected):
    return float((out.double() - expected).norm() / expected.norm())


LENGTHS = {
    "one sentence": [7],
    "one token": [1],
    "single tokens": [1, 1, 1],
    "all full": [9, 9, 9, 9],
    "every length": list(range(1, 31)),
    "skewed": [2, 60, 3, 3, 1, 17, 2, 64],
    "unsorted": [31, 2, 33, 32, 1],
}


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
def test_states_are_those_of_torch(model, fast, lengths):
    ids, mask = batch(lengths)
    out = fast(ids, mask)
    assert out.shape == (*ids.shape, 32)
    assert error(out[mask == 1], reference(model, ids, mask)[mask == 1]) < TOLERANCE
    assert not out[mask == 0].any()


def test_explain_says_what_the_layers_do(fast):
    assert f"{len(fast.layers)} layers on packed tokens, attention within each sequence" in fast.explain()


def test_random_batches(model, fast):
    generator = np.random.default_rng(7)
    for seed in range(6):
        lengths = generator.integers(1, 40, generator.integers(1, 12)).tolist()
        ids, mask = batch(lengths, size=max(lengths) + int(generator.integers(0, 5)), seed=seed)
        expected = reference(model, ids, mask)[mask == 1]
        assert error(fast(ids, mask)[mask == 1], expected) < TOLERANCE
        assert error(fast.states(ids, mask).data, expected) < TOLERANCE


def test_without_a_mask_nothing_is_padding(model, fast):
    ids, mask = batch([5, 5])
    assert error(fast(ids), reference(model, ids, mask)) < TOLERANCE


def test_what_is_in_the_padding_does_not_matter(fast):
    ids, mask = batch([3, 8])
    other = torch.where(mask == 1, ids, 99)
    assert torch.equal(fast(ids, mask), fast(other, mask))


def test_pooling(model, fast):
    ids, mask = batch([4, 1, 11])
    states, weights = reference(model, ids, mask), mask.unsqueeze(-1)
    mean = (states * weights).sum(1) / weights.sum(1)
    assert error(fast(ids, mask, pool="mean"), mean) < TOLERANCE
    assert error(fast(ids, mask, pool="first"), states[:, 0]) < TOLERANCE


def test_sequences_without_tokens_give_zeros(model, fast):
    ids, mask = batch([4, 0, 6, 0])
    out = fast(ids, mask)
    expected = reference(model, ids[[0, 2]], mask[[0, 2]])
    assert error(out[[0, 2]][mask[[0, 2]] == 1], expected[mask[[0, 2]] == 1]) < TOLERANCE
    for pool in (None, "mean", "first"):
        assert not fast(ids, mask, pool=pool)[[1, 3]].any()


def test_more_inputs_are_packed_too(model, fast):
    ids, mask = batch([4, 9])
    types = (torch.arange(9) > 2).long().expand(2, -1)
    out = fast(input_ids=ids, attention_mask=mask, token_type_ids=types)
    expected = reference(model, ids, mask, token_type_ids=types)
    assert error(out[mask == 1], expected[mask == 1]) < TOLERANCE
    assert error(fast(ids, mask)[mask == 1], expected[mask == 1]) > 1e-3


def test_new_lengths_compile_nothing(fast):
    fast(*batch([3, 5]), pool="mean")
    fast(*batch([3, 5]))
    before = kernel_cache().stats.compiled
    for lengths in ([1], [40, 2, 2], [8] * 13, [2, 64]):
        fast(*batch(lengths), pool="mean")
        fast(*batch(lengths, size=64))
    assert kernel_cache().stats.compiled == before


def test_layers_share_their_code(fast):
    first, second = (layer.kernel.kernel for layer in fast.layers.values())
    assert first.artifact is second.artifact
    assert "pith.attention" in fast.layers["encoder.layer.0"].kernel.ir("pith")


def test_the_model_stays_as_it_is(model, fast):
    assert type(model.encoder.layer[0]).__name__ == "BertLayer"
    assert model.config._attn_implementation == "sdpa"
    assert fast.model.embeddings.word_embeddings.weight is model.embeddings.word_embeddings.weight


def test_sparse_weights(model):
    pattern = {"*.intermediate.dense.weight": "C0(2:4)", "encoder.layer.1.output.dense.weight": "C0(1:4)"}
    pruned = bert()
    with torch.no_grad():
        for layer in pruned.encoder.layer:
            layer.intermediate.dense.weight.copy_(pith.prune(layer.intermediate.dense.weight.detach(), "C0(2:4)"))
        last = pruned.encoder.layer[1].output.dense.weight
        last.copy_(pith.prune(last.detach(), "C0(1:4)"))
    fast = unpad(pruned, sparsity=pattern)
    ids, mask = batch([3, 17, 8])
    assert error(fast(ids, mask)[mask == 1], reference(pruned, ids, mask)[mask == 1]) < TOLERANCE
    reports = [layer.kernel.explain() for layer in fast.layers.values()]
    assert all("intermediate.dense.weight" in report for report in reports)
    assert ["output.dense.weight" in report for report in reports] == [False, True]
    with pytest.raises(pith.FormatError, match=r"intermediate\.dense\.weight"):
        unpad(model, sparsity=pattern)
    with pytest.raises(pith.ImportProgramError, match=r"outside of the repeated layers(.|\n)*'encoder\.layer\.\*"):
        unpad(model, sparsity={"pooler.dense.weight": "csr"})
    with pytest.raises(pith.ImportProgramError, match="matches no parameter"):
        unpad(model, sparsity={"*.nothing": "csr"})


def test_float64():
    model = bert().double()
    ids, mask = batch([3, 17, 8])
    assert error(unpad(model)(ids, mask)[mask == 1], reference(model, ids, mask)[mask == 1]) < 1e-12


def test_bfloat16():
    model = bert().to(torch.bfloat16)
    ids, mask = batch([3, 17, 8])
    out = unpad(model)(ids, mask)
    assert out.dtype is torch.bfloat16
    assert error(out[mask == 1], reference(model, ids, mask)[mask == 1]) < 2e-2


def test_positions_that_start_elsewhere():
    torch.manual_seed(0)
    model = transformers.RobertaModel(transformers.RobertaConfig(**SMALL, pad_token_id=1)).eval()
    with pytest.raises(pith.UnsupportedError, match="computes something else"):
        unpad(model)
    ids, mask = batch([3, 17, 8])
    ids = torch.where(mask == 1, ids.clamp(min=2), 1)
    assert (
        error(unpad(model, first_position=2)(ids, mask)[mask == 1], reference(model, ids, mask)[mask == 1]) < TOLERANCE
    )


BAD_BATCHES = {
    "expects zeros and ones, got 2": (torch.ones(2, 3, dtype=torch.long), torch.tensor([[1, 1, 0], [1, 2, 0]])),
    "sequence 1 has a token behind padding": (torch.ones(2, 3, dtype=torch.long), torch.tensor([[1, 1, 0], [0, 1, 1]])),
    "at least one token": (torch.ones(2, 3, dtype=torch.long), torch.zeros(2, 3)),
}


@pytest.mark.parametrize("message", BAD_BATCHES)
def test_bad_masks(fast, message):
    with pytest.raises(pith.ArgumentError, match=message):
        fast(*BAD_BATCHES[message])


def test_bad_inputs(fast):
    ids, mask = batch([3, 5])
    with pytest.raises(pith.ShapeError, match="attention_mask: expects"):
        fast(ids, mask[:, :3])
    with pytest.raises(pith.ShapeError, match="input_ids: expects"):
        fast(ids[0])
    with pytest.raises(pith.ShapeError, match="token_type_ids: expects"):
        fast(ids, mask, token_type_ids=ids[:1])
    for odd in (-1, SMALL["vocab_size"]):
        with pytest.raises(pith.CheckError, match=f"input_ids: expects ids from 0 to 99, got {odd}"):
            fast(torch.full_like(ids, odd), mask)
    long = torch.ones(1, SMALL["max_position_embeddings"] + 1, dtype=torch.long)
    with pytest.raises(pith.ShapeError, match="input_ids: sequence 0 has 65 tokens, the model has 64 positions"):
        fast(long)
    with pytest.raises(pith.CheckError, match="token_type_ids: expects ids from 0 to 1, got 2"):
        fast(ids, mask, token_type_ids=torch.full_like(ids, 2))
    with pytest.raises(pith.DTypeError, match="input_ids: expects int32 or int64"):
        fast(ids.float(), mask)
    with pytest.raises(pith.ArgumentError, match="pool: expects"):
        fast(ids, mask, pool="max")
    with pytest.raises(pith.ArgumentError, match="output_attentions: expects a tensor, got bool"):
        fast(ids, mask, output_attentions=True)
    with pytest.raises(pith.ArgumentError, match="input_ids: expects a tensor, got list"):
        fast(ids.tolist(), mask)


def test_layers_take_the_arguments_they_were_compiled_for(fast):
    layer = fast.layers["encoder.layer.1"]
    assert layer.seq_len_dim == 1  # an attribute of the layer itself
    with pytest.raises(pith.UnsupportedError, match=r"encoder\.layer\.1: is called with other arguments"):
        layer(torch.randn(1, 3, 32))


def test_models_that_cannot_be_unpadded():
    with pytest.raises(pith.UnsupportedError, match="no model of transformers"):
        unpad(torch.nn.Linear(2, 2).eval())
    with pytest.raises(pith.UnsupportedError, match="training mode"):
        unpad(bert().train())
    with pytest.raises(pith.UnsupportedError, match="is a decoder"):
        unpad(bert(is_decoder=True))
    head = transformers.BertForSequenceClassification(transformers.BertConfig(**SMALL)).eval()
    with pytest.raises(pith.UnsupportedError, match="no last_hidden_state"):
        unpad(head)
    gpt = transformers.GPT2Config(n_embd=32, n_layer=1, n_head=2, vocab_size=100, bos_token_id=0, eos_token_id=0)
    with pytest.raises(pith.UnsupportedError, match="causal attention"):
        unpad(transformers.GPT2Model(gpt).eval())


# -- the op alone -----------------------------------------------------------------------


def attended(query, key, value, intervals):
    """Attention over intervals in float64, by a mask."""
    keys = torch.arange(key.shape[2])
    seen = (keys >= intervals[..., :1]) & (keys < intervals[..., 1:])
    groups = query.shape[1] // key.shape[1]
    key, value = (t.double().repeat_interleave(groups, 1) for t in (key, value))
    scores = (query.double() @ key.transpose(2, 3) * query.shape[3] ** -0.5).masked_fill(~seen[:, None], -torch.inf)
    return scores.softmax(-1).nan_to_num(0) @ value


class Attend(torch.nn.Module):
    """Grouped-query attention between linear layers."""

    def __init__(self):
        super().__init__()
        self.query, self.key, self.out = (torch.nn.Linear(24, n) for n in (24, 8, 24))

    def forward(self, x, intervals):
        query = self.query(x).unflatten(2, (3, 8)).transpose(1, 2)
        key = self.key(x).unsqueeze(1)
        return self.out(attention(query, key, key, intervals).transpose(1, 2).flatten(2))


def test_attention_computes_intervals():
    torch.manual_seed(3)
    query, key, value = torch.randn(2, 4, 9, 8), torch.randn(2, 2, 13, 8), torch.randn(2, 2, 13, 6)
    low = torch.randint(0, 13, (2, 9, 1), dtype=torch.int32)
    intervals = torch.cat([low, low + torch.randint(0, 5, (2, 9, 1), dtype=torch.int32)], 2)
    out = attention(query, key, value, intervals)
    assert error(out, attended(query, key, value, intervals)) < TOLERANCE


def test_modules_that_attend_compile():
    torch.manual_seed(1)
    module = Attend().eval()
    example = torch.randn(1, 5, 24), intervals_of(torch.tensor([2, 3]))
    kernel = pith.compile(module, example, dynamic_shapes={"x": {1: "tokens"}, "intervals": {1: "tokens"}})
    assert kernel.ir("pith").count("pith.attention") == 1
    for lengths in ([1], [3, 0, 40], [70, 1]):
        x, intervals = torch.randn(1, sum(lengths), 24), intervals_of(torch.tensor(lengths))
        with torch.inference_mode():
            assert error(kernel(x, intervals), module(x, intervals).double()) < TOLERANCE


@pytest.mark.parametrize(
    ("lengths", "kind", "message"),
    [
        ([1, 3], pith.ArgumentError, "expects a torch tensor, got list"),
        (torch.tensor([-1, 3]), pith.CheckError, "expects lengths >= 0, got -1"),
        (torch.tensor([1.0, 3.0]), pith.DTypeError, "expects integers"),
        (torch.tensor(3), pith.ShapeError, "sequences"),
    ],
)
def test_lengths_are_checked(lengths, kind, message):
    with pytest.raises(kind, match=f"lengths: .*{message}"):
        intervals_of(lengths)


def test_attention_refuses():
    x, intervals = torch.randn(1, 2, 4, 8), intervals_of(torch.tensor([4]))
    with pytest.raises(pith.ShapeError, match="query: expects"):
        attention(x[0], x, x, intervals)
    with pytest.raises(pith.ShapeError, match="key: fits no query"):
        attention(x, x[..., :4], x, intervals)
    with pytest.raises(pith.ShapeError, match="value: expects"):
        attention(x, x, x[:, :, :3], intervals)
    with pytest.raises(pith.ShapeError, match="intervals: expects"):
        attention(x, x, x, intervals[:, :3])
    with pytest.raises(pith.DTypeError, match="intervals: expects int32"):
        attention(x, x, x, intervals.long())
    with pytest.raises(pith.DTypeError, match="key: expects one floating point type"):
        attention(x, x.double(), x, intervals)
    with pytest.raises(pith.UnsupportedError, match="no gradient"):
        attention(x.clone().requires_grad_(), x, x, intervals).sum().backward()
