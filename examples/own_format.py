"""Run the program in own_format.mlir, whose format no library has a kernel for.

Run: python examples/own_format.py
"""

import pathlib

import numpy as np
import pith

FORMAT = "V(8)C1(2:4)->C0(1:2)"


def main():
    kernel = pith.compile(pathlib.Path(__file__).with_suffix(".mlir"))
    print(kernel.explain())

    rng = np.random.default_rng(0)
    for rows, columns, batch in ((64, 128, 32), (8, 16, 5)):  # sizes are dynamic: the kernel serves them all
        weight = pith.prune(rng.standard_normal((rows, columns), dtype=np.float32), FORMAT)
        x = rng.standard_normal((columns, batch), dtype=np.float32)
        np.testing.assert_allclose(kernel(pith.compress(weight, FORMAT), x), weight @ x, rtol=1e-4, atol=1e-4)
    print("results agree with NumPy")


if __name__ == "__main__":
    main()
