"""A transformer of transformers, compiled whole for an emulated GPU. No GPU is needed."""

import numpy as np
import pith
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Encoder(torch.nn.Module):
    """A sentence encoder of transformers: masks, positions, attention, layer norms."""

    def __init__(self, transformers):
        super().__init__()
        sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 64}
        config = transformers.BertConfig(vocab_size=100, max_position_embeddings=64, **sizes)
        self.model = transformers.BertModel(config, add_pooling_layer=False)

    def forward(self, tokens, mask):
        return self.model(input_ids=tokens, attention_mask=mask).last_hidden_state


def test_sentence_encoder():
    model = Encoder(pytest.importorskip("transformers")).eval()
    tokens, mask = torch.randint(0, 100, (2, 7)), torch.ones(2, 7, dtype=torch.long)
    mask[1, 5:] = 0
    with torch.no_grad():
        torch.manual_seed(0)
        out = pith.compile(model, (tokens, mask), target="emulate:sm_90")(tokens, mask)
        assert np.allclose(np.asarray(out), model(tokens, mask), atol=1e-5)
