"""Formats from text and back."""

from __future__ import annotations

import dataclasses

import pith
import pytest
from format_strategies import formats
from hypothesis import given, settings
from pith.formats import HSS, Format
from pith.formats.masks import masked
from pith.formats.parse import format_name, parse_format


@settings(max_examples=200, deadline=None)
@given(formats())
def test_the_text_of_any_format_parses_back(fmt):
    plain = dataclasses.replace(fmt, pos_width=0, crd_width=0, nm_width=0)
    assert parse_format(str(plain)) == plain


@pytest.mark.parametrize(
    ("text", "fmt"),
    [
        ("csr", Format.csr()),
        ("CSC", Format.csc()),
        ("coo", Format.coo()),
        ("dense", Format.dense()),
        ("bsr(4x2)", Format.bsr(4, 2)),
        ("masked(3)", masked(3)),
        ("nm(2:4)", HSS.parse("C0(2:4)")),
        (" C1(3:4)->C0(2:4) ", HSS.parse("C1(3:4)->C0(2:4)")),
        ("V(16)C1(1:2)->B(4x1)C0(2:4)", HSS.parse("V(16)C1(1:2)->B(4x1)C0(2:4)")),
    ],
)
def test_names(text, fmt):
    assert parse_format(text) == fmt
    if isinstance(fmt, Format):
        assert format_name(fmt) == text.lower()


@pytest.mark.parametrize(
    "text",
    ["", "csrr", "bsr(4)", "bsr(0x4)", "masked(5)", "nm(3:2)", "C1(2:4)", "d0", "d0 : ", "d0 : dense extra",
     "x0 : dense", "d0 : dense, d0 : dense", "d0 floordiv 0 : dense", "(d0 floordiv 2) floordiv 2 : dense",
     "d1 : dense",
     "d0 : compressed(sorted)", "d0 : nm(2:4)", "->", "C0(2:4)->"],
)  # fmt: skip
def test_text_that_is_no_format(text):
    with pytest.raises(pith.FormatError):
        parse_format(text)
