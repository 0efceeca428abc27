"""Banks of shared memory, counted: which of them accesses meet, and how often."""


def bank_conflicts(addresses, nbytes):
    """Times the busiest bank is asked for more than once by accesses of ``nbytes`` at these byte addresses.

    The hardware serves 128 bytes at a time: 8 accesses of 16 bytes, 16 of 8, 32 of 4. Accesses to one word count once.
    """
    at, worst, together = list(addresses), 0, 128 // nbytes
    for first in range(0, len(at), together):
        words = {word for a in at[first : first + together] for word in range(a // 4, (a + nbytes - 1) // 4 + 1)}
        banks = [word % 32 for word in words]
        worst = max(worst, max(banks.count(bank) for bank in set(banks)) - 1)
    return worst


def write_conflicts(shape):
    """Of a tile that neighbouring threads write in neighbouring chunks, row after row."""
    per_row = shape.extents[1] // shape.chunk
    chunks = [shape.address(i // per_row, i % per_row * shape.chunk) for i in range(shape.extents[0] * per_row)]
    return max(bank_conflicts(chunks[i : i + 32], 16) for i in range(0, len(chunks), 32))
