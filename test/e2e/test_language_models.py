"""Decoders of transformers as pith.compile takes them: causal masks, rotary positions, no cache."""

from __future__ import annotations

import pith
import pytest
from pith.runtime import kernel_cache

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")


def test_a_llama_with_sparse_weights_at_other_sizes_than_the_example():
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=24,
    )
    model = transformers.LlamaModel(config).eval()
    for name, p in model.named_parameters():
        if name.endswith("proj.weight"):
            p.data = pith.prune(p.data, "C0(2:4)")
    k = pith.compile(
        model,
        (torch.randint(0, 50, (2, 6)),),
        kwargs={"use_cache": False},
        sparsity={"*proj.weight": "C0(2:4)"},
        dynamic_shapes=({0: "batch", 1: "tokens"},),
    )
    ids = torch.randint(0, 50, (3, 11))
    with torch.inference_mode():
        expected = model(ids, use_cache=False).last_hidden_state
    torch.testing.assert_close(k(ids, use_cache=False).last_hidden_state, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(k(ids).last_hidden_state, expected, rtol=1e-4, atol=1e-5)  # constants may be left out
    with pytest.raises(pith.ArgumentError, match="compiled for the constant False, got True"):
        k(ids, use_cache=True)


def test_layers_of_gpt2_are_sparsified_though_their_weights_are_transposed():
    torch.manual_seed(0)
    sizes = {"vocab_size": 50, "n_positions": 16, "n_embd": 16, "n_layer": 2, "n_head": 2}
    model = transformers.GPT2Model(transformers.GPT2Config(**sizes, bos_token_id=None, eos_token_id=None)).eval()
    for name, p in model.named_parameters():
        if name.endswith(("c_fc.weight", "c_attn.weight")):
            p.data = pith.prune(p.data.T.contiguous(), "C0(2:4)").T.contiguous()
    ids = torch.randint(0, 50, (2, 7))
    expected = model(ids, use_cache=False).last_hidden_state
    parameters = sum(p.numel() for p in model.parameters())
    model.h[1].mlp.c_fc.train()
    stored = pith.compile(model, (ids,), kwargs={"use_cache": False}, sparsity={"*.c_fc.weight": "M0(2:4)"})
    torch.testing.assert_close(stored(ids).last_hidden_state, expected.detach(), rtol=1e-4, atol=1e-5)
    names = pith.torch.sparsify_(model, {"*.c_fc": "C0(2:4)", "*.c_attn": "C0(2:4)"})
    assert names == ("h.0.attn.c_attn", "h.0.mlp.c_fc", "h.1.attn.c_attn", "h.1.mlp.c_fc")
    assert not model.h[0].mlp.c_fc.training and model.h[1].mlp.c_fc.training
    assert parameters - sum(p.numel() for p in model.parameters()) == 2 * (16 * 48 + 16 * 64) // 2
    found = model(ids, use_cache=False).last_hidden_state
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    found.square().sum().backward()
    assert model.h[0].mlp.c_fc.values.grad.abs().sum() > 0
    kernel = pith.compile(model, (ids,), kwargs={"use_cache": False}, path="sparse")
    torch.testing.assert_close(kernel(ids).last_hidden_state, expected.detach(), rtol=1e-4, atol=1e-5)
    quantised = pith.torch.sparsify_(model, {"*.mlp.c_proj": pith.Quantized()})
    assert quantised == ("h.0.mlp.c_proj", "h.1.mlp.c_proj")
    error = (model(ids, use_cache=False).last_hidden_state - expected).norm() / expected.norm()
    assert error < 0.01


def test_experts_in_one_parameter_are_named_and_compile_in_a_format():
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2, "num_key_value_heads": 1}
    config = transformers.MixtralConfig(**sizes, vocab_size=50, num_hidden_layers=1, num_local_experts=4)
    model = transformers.MixtralModel(config).eval()
    for pattern in ("*.experts", "*.gate_up_proj", "layers.0.mlp.experts.*"):
        with pytest.raises(
            pith.UnsupportedError, match=r"layers\.0\.mlp\.experts\.gate_up_proj of MixtralExperts"
        ) as e:
            pith.torch.sparsify_(model, {"*.q_proj": "C0(2:4)", pattern: "C0(2:4)"})
        assert "(4, 48, 16)" in str(e.value)
    assert not [m for m in model.modules() if isinstance(m, pith.torch.SparseLinear)]
    for name, p in model.named_parameters():
        if "experts" in name:
            p.data = torch.stack([pith.prune(w, "C0(2:4)") for w in p.data])
    ids, sparsity = torch.randint(0, 50, (2, 6)), {"layers.0.mlp.experts.*": "MCS: S0(2:4)"}  # as the error says
    kernel = pith.compile(model, (ids,), kwargs={"use_cache": False}, sparsity=sparsity)
    expected = model(ids, use_cache=False).last_hidden_state.detach()
    torch.testing.assert_close(kernel(ids).last_hidden_state, expected, rtol=1e-4, atol=1e-5)


class _WithCache(torch.nn.Module):
    """A decoder whose keys and values are arguments and results."""

    def __init__(self, decoder):
        super().__init__()
        self.decoder = decoder

    def forward(self, ids, past):
        cache = transformers.DynamicCache(config=self.decoder.config)
        for layer, (keys, values) in enumerate(past):
            cache.update(keys, values, layer)
        out = self.decoder(ids, past_key_values=cache, use_cache=True).last_hidden_state
        return out[:, -1], [(layer.keys, layer.values) for layer in cache.layers]


def test_one_kernel_serves_caches_of_all_lengths():
    torch.manual_seed(0)
    sizes = {"vocab_size": 50, "n_positions": 64, "n_embd": 16, "n_layer": 2, "n_head": 2}
    model = transformers.GPT2Model(transformers.GPT2Config(**sizes, bos_token_id=None, eos_token_id=None)).eval()
    pith.torch.sparsify_(model, {"*.c_fc": "C0(2:4)"})
    tokens = torch.randint(0, 50, (2, 40))
    with torch.no_grad():
        _, past = _WithCache(model)(tokens[:, :8], [])
        grows = [({2: "past"}, {2: "past"}) for _ in past]
        step = pith.compile(_WithCache(model), (tokens[:, 8:9], past), dynamic_shapes=({}, grows))
        compiled = kernel_cache().stats.compiled
        for n in range(8, 40):
            got, past = step(tokens[:, n : n + 1], past)
            assert past[1][0].shape[2] == n + 1
        compiled_by_steps = kernel_cache().stats.compiled - compiled
        expected = model(tokens, use_cache=False).last_hidden_state[:, -1]  # of 80 rows: layers may take other tiles
    assert not compiled_by_steps
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


def test_caches_among_arguments_and_results_are_refused_with_what_takes_them():
    sizes = {"vocab_size": 50, "n_positions": 64, "n_embd": 16, "n_layer": 1, "n_head": 2}
    model = transformers.GPT2Model(transformers.GPT2Config(**sizes, bos_token_id=None, eos_token_id=None)).eval()
    ids = torch.randint(0, 50, (2, 8))
    for kwargs in ({"past_key_values": transformers.DynamicCache()}, {"use_cache": True}):
        with pytest.raises(pith.ImportProgramError, match="DynamicCache") as raised:
            pith.compile(model, (ids,), kwargs=kwargs)
        assert "Decoders that generate" in (raised.value.hint or "")
