"""The twelve sparsity degrees of HighLight on the emulated GPU, with choices that 16 or 32 rows share."""

import pytest
from structured_programs import TOLERANCE, error_of, run

HIGHLIGHT = [(v, f"C1(4:{h})->C0({g}:4)", h) for g in (4, 2, 1) for h in (4, 5, 6, 7) for v in (16, 32)]


@pytest.mark.parametrize(("rows", "degree", "h"), HIGHLIGHT)
def test_the_twelve_degrees_of_highlight(rows, degree, h):
    result, reference = run(f"V({rows}){degree}", (64, 20 * h), transposed=(rows + h) % 3 == 0, columns=19)
    assert error_of(result, reference) <= TOLERANCE["f32"]
