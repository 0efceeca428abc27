"""Decoders of transformers as pith.compile takes them: causal masks, rotary positions, no cache."""

from __future__ import annotations

import pith
import pytest

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
