"""Options of passes are the fields of their dataclasses."""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Literal

import pytest
from pith.errors import FormatError, PipelineError
from pith.passes.core import Pass
from pith.passes.pipeline.options import build_pass, format_pass
from pith.passes.pipeline.syntax import Source, parse_syntax


@dataclasses.dataclass(frozen=True)
class TunePass(Pass):
    """Takes one option of every kind."""

    name: ClassVar[str] = "test-tune"
    target: str = "cpu"
    tile_size: int = 8
    fast: bool = False
    ratio: float = 0.5
    sizes: tuple[int, ...] = (1,)
    names: tuple[str, ...] = ()
    limit: int | None = None
    order: Literal["row", "column"] = "row"

    def __post_init__(self):
        if self.tile_size < 1:
            raise FormatError(f"expects tile-size > 0, got {self.tile_size}", hint="use 8")

    def run(self, module) -> None:
        """Nothing."""


def build(options: str) -> Pass:
    source = Source(f"test-tune{{{options}}}")
    return build_pass(TunePass, parse_syntax(source).children[0], source)


@pytest.mark.parametrize(
    ("options", "field", "value"),
    [
        ("target=sm_90", "target", "sm_90"),
        ("target='sm 90'", "target", "sm 90"),
        ("target={a=1 b=2}", "target", "a=1 b=2"),
        ("tile-size=32", "tile_size", 32),
        ("fast", "fast", True),
        ("fast=1", "fast", True),
        ("fast=False", "fast", False),
        ("ratio=1e-3", "ratio", 1e-3),
        ("sizes=4,8,16", "sizes", (4, 8, 16)),
        ("sizes={4,8}", "sizes", (4, 8)),
        ("sizes=[4]", "sizes", (4,)),
        ("sizes=", "sizes", ()),
        ("names=a,b", "names", ("a", "b")),
        ("limit=none", "limit", None),
        ("limit=7", "limit", 7),
        ("order=column", "order", "column"),
    ],
)
def test_values_convert_to_the_type_of_the_field(options, field, value):
    assert getattr(build(options), field) == value


@pytest.mark.parametrize(
    ("options", "column", "message"),
    [
        ("tile-size=x", 11, "option 'tile-size' of 'test-tune' expects an integer, got 'x'"),
        ("tile-size", 11, "option 'tile-size' of 'test-tune' expects an integer"),
        ("fast=maybe", 11, "option 'fast' of 'test-tune' expects true or false, got 'maybe'"),
        ("ratio=half", 11, "option 'ratio' of 'test-tune' expects a number, got 'half'"),
        ("sizes=1,x", 11, "option 'sizes' of 'test-tune' expects a comma-separated list (an integer each), got '1,x'"),
        ("limit=x", 11, "option 'limit' of 'test-tune' expects an integer or none, got 'x'"),
        ("order=z", 11, "option 'order' of 'test-tune' expects one of row, column, got 'z'"),
        ("fast fast", 16, "option 'fast' is given twice"),
        ("fast tile=1", 16, "pass 'test-tune' has no option 'tile'"),
        ("=3", 11, "expected an option key=value, got '=3'"),
        ("tile-size=0", 1, "pass 'test-tune': expects tile-size > 0, got 0"),
    ],
)
def test_wrong_options_are_named_with_position(options, column, message):
    with pytest.raises(PipelineError) as caught:
        build(options)
    assert caught.value.where == f"pipeline:1:{column}"
    assert caught.value.message.splitlines()[0] == message


def test_an_unknown_option_lists_the_valid_ones():
    with pytest.raises(PipelineError, match=r"did you mean 'tile-size'.*fast \(true or false\)"):
        build("tile-sise=1")


@pytest.mark.parametrize("options", ["", "target=sm_90 fast=true", "sizes=4,8 limit=3", 'target="a b"'])
def test_format_is_the_inverse_of_build(options):
    pass_ = build(options)
    assert format_pass(pass_) == (f"test-tune{{{options}}}" if options else "test-tune")
