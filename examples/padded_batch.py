"""Run an encoder on a padded batch without computing the padding; new lengths compile nothing.

Needs transformers. Run: python examples/padded_batch.py
"""

import pith
import torch
from pith.runtime.cache import kernel_cache
from transformers import BertConfig, BertModel


def batch(lengths):
    """Random ids, padded, and the mask that says which of them count."""
    mask = torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)
    return torch.where(mask, torch.randint(1, 1000, mask.shape), 0), mask.long()


def main():
    torch.manual_seed(0)
    config = BertConfig(
        hidden_size=128, num_hidden_layers=4, num_attention_heads=4, intermediate_size=512, vocab_size=1000
    )
    model = BertModel(config).eval()
    encoder = pith.torch.unpad(model)  # one layer is compiled; the others share its code

    for lengths in ([7, 60, 4, 11], [3], [25] * 9):
        before = kernel_cache().stats.compiled
        ids, mask = batch(lengths)
        with torch.inference_mode():
            expected = model(ids, mask).last_hidden_state
        states = encoder(ids, mask)  # padded again, zeros where padding is
        torch.testing.assert_close(states[mask == 1], expected[mask == 1], rtol=1e-4, atol=1e-5)
        compiled = kernel_cache().stats.compiled - before
        print(f"{mask.numel()} positions, {int(mask.sum())} tokens computed, {compiled} kernels compiled")

    print(encoder(ids, mask, pool="mean").shape, encoder.states(ids, mask))
    print(encoder.explain())


if __name__ == "__main__":
    main()
