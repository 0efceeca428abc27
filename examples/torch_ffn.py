"""Compile a pruned PyTorch module: the weights become packed arguments, the code is per format.

Run: python examples/torch_ffn.py
"""

import pith
import torch
from torch import nn

FORMAT = "C1(3:4)->C0(2:4)"


def main():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(256, 1024), nn.GELU(), nn.Linear(1024, 256)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("weight"):
                parameter.copy_(pith.prune(parameter, FORMAT))

    x = torch.randn(8, 256)
    kernel = pith.compile(model, (x,), sparsity={"*.weight": FORMAT}, dynamic_shapes=({0: "batch"},))

    for batch in (8, 3):  # one kernel for every batch size
        x = torch.randn(batch, 256)
        with torch.no_grad():
            torch.testing.assert_close(kernel(x), model(x), rtol=1e-4, atol=1e-5)

    dense_bytes = sum(p.nbytes for p in model.parameters())
    print(f"{kernel}: weights {kernel.weight_bytes} bytes, dense {dense_bytes}")
    print(kernel.explain())


if __name__ == "__main__":
    main()
