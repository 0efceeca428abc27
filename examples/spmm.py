"""Multiply a pruned matrix by a dense one: prune, compress, matmul, and what it costs against dense.

Run: python examples/spmm.py
"""

import time

import numpy as np
import pith

FORMAT = "C1(1:4)->C0(2:4)"  # 2 of 4 elements, in 1 of 4 groups: at most 12.5 % of the elements


def best_ms(function, *args, rounds=20):
    """Shortest of several runs, in milliseconds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        function(*args)
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def main():
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((1024, 1024), dtype=np.float32)
    x = rng.standard_normal((1024, 256), dtype=np.float32)

    pruned = pith.prune(weight, FORMAT)
    a = pith.compress(pruned, FORMAT)
    print(a)

    y = pith.matmul(a, x)
    reference = pruned.astype(np.float64) @ x
    error = np.linalg.norm(y - reference) / np.linalg.norm(reference)
    print(f"relative error {error:.1e}")
    assert error < 1e-5

    print(f"pith {best_ms(pith.matmul, a, x):.2f} ms, NumPy dense {best_ms(np.matmul, pruned, x):.2f} ms")


if __name__ == "__main__":
    main()
