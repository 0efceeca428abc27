"""Compile a pruned PyTorch module: the weights become packed arguments, the code is per format.

Run: python examples/torch_ffn.py
     pith explain examples/torch_ffn.py:build
     pith compile examples/torch_ffn.py:build --target cpu --target sm_90 -o ffn.pith
"""

import pith
import torch
from torch import nn

FORMAT = "C1(3:4)->C0(2:4)"


def build():
    """What the command line compiles: the module, example arguments, and the formats of its weights."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(256, 1024), nn.GELU(), nn.Linear(1024, 256)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("weight"):
                parameter.copy_(pith.prune(parameter, FORMAT))
    return model, (torch.randn(8, 256),), {"*.weight": FORMAT}


def main():
    model, args, sparsity = build()
    kernel = pith.compile(model, args, sparsity=sparsity, dynamic_shapes=({0: "batch"},))

    for batch in (8, 3):  # one kernel for every batch size
        x = torch.randn(batch, 256)
        with torch.no_grad():
            torch.testing.assert_close(kernel(x), model(x), rtol=1e-4, atol=1e-5)

    dense_bytes = sum(p.nbytes for p in model.parameters())
    print(f"{kernel}: weights {kernel.weight_bytes} bytes, dense {dense_bytes}")
    print(kernel.explain())


if __name__ == "__main__":
    main()
