"""The twelve sparsity degrees of HighLight on the emulated GPU, with choices that 16 or 32 rows share."""

import pytest
from relative_error import error_of
from structured_programs import TOLERANCE, note_of, run, source

HIGHLIGHT = [(v, f"C1(4:{h})->C0({g}:4)", h) for g in (4, 2, 1) for h in (4, 5, 6, 7) for v in (16, 32)]


@pytest.mark.parametrize(("rows", "degree", "h"), HIGHLIGHT)
def test_the_twelve_degrees_of_highlight(rows, degree, h):
    result, reference = run(f"V({rows}){degree}", (64, 20 * h), transposed=(rows + h) % 3 == 0, columns=19)
    assert error_of(result, reference) <= TOLERANCE["f32"]


@pytest.mark.parametrize("inner", ["4:4", "2:4", "1:4"])
@pytest.mark.parametrize("transposed", [False, True])
def test_too_few_rows_for_a_stream(inner, transposed):
    """Tiles of 16 rows would read the other operand too often: taller ones search for the groups of every row."""
    text, shape = f"V(16)C1(4:5)->C0({inner})", (1024, 60)
    assert "16 rows that share a stream are too few" in note_of(source(text, shape, transposed=transposed))
    result, reference = run(text, shape, transposed=transposed, columns=24)
    assert error_of(result, reference) <= TOLERANCE["f32"]
