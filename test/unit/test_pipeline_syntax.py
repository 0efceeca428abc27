"""The textual pipeline parser: positions, round trips, and nothing but PipelineError on any text."""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pith.errors import PipelineError
from pith.passes.pipeline import parse_pipeline
from pith.passes.pipeline.syntax import Source, parse_syntax, split_options


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("a,,b", "pipeline:1:3", "expected a pass name, got ','"),
        ("builtin.module(a", "pipeline:1:15", "'(' is never closed"),
        ("builtin.module(a{x=1", "pipeline:1:17", "'{' is never closed"),
        ("builtin.module(a{x=[1})", "pipeline:1:22", "expected ']', got '}'"),
        ("builtin.module(a{x='1})", "pipeline:1:20", "unterminated '"),
        ("builtin.module(a))", "pipeline:1:18", "expected ',' or the end of the pipeline, got ')'"),
        ("builtin.module(\n  cse,\n  ;)", "pipeline:3:3", "expected a pass name, got ';'"),
        ("a b", "pipeline:1:3", "expected ',' or the end of the pipeline, got 'b'"),
        ("x(" * 65 + ")" * 65, "pipeline:1:129", "more than 64 levels of nesting"),
    ],
)
def test_syntax_errors_have_positions(text, where, message):
    with pytest.raises(PipelineError) as caught:
        parse_syntax(text)
    assert caught.value.where == where
    assert caught.value.message.splitlines()[0] == message


def test_the_caret_stands_below_the_error():
    with pytest.raises(PipelineError) as caught:
        parse_syntax("cse,\n\tcse,?")
    _, line, caret = caught.value.message.split("\n")
    assert (line, caret) == ("  \tcse,?", "  \t    ^")


@pytest.mark.parametrize(
    "text",
    [
        "builtin.module()",
        "builtin.module(cse)",
        "builtin.module(func.func(cse,canonicalize{top-down=false max-iterations=3}),sparsifier{vl=16})",
        "func.func(a.b-c_d$e)",
        'builtin.module(a{x="two  words" y={p=1 q={r}} z=[1,2]})',
    ],
)
def test_text_round_trips(text):
    assert str(parse_syntax(text)) == text


def test_options_split_at_spaces_outside_brackets_and_quotes():
    options = split_options(Source("p{ a=1  b='x y'\tc={d=1 e=2} f }"), " a=1  b='x y'\tc={d=1 e=2} f ", 2)
    assert [(o.key, o.value, o.pos) for o in options] == [
        ("a", "1", 3),
        ("b", "'x y'", 8),
        ("c", "{d=1 e=2}", 16),
        ("f", None, 28),
    ]


_NAMES = st.sampled_from(["cse", "canonicalize", "a", "x.y", "pith-z"])
_OPTIONS = st.sampled_from(["", "{}", "{a=1}", "{a=1 b={c d=2}}", '{a="x y"}'])
_PASS = st.builds(str.__add__, _NAMES, _OPTIONS)
_ELEMENT = st.recursive(
    _PASS,
    lambda inner: st.builds(lambda a, c: f"{a}({','.join(c)})", _NAMES, st.lists(inner, max_size=3)),
    max_leaves=8,
)


@given(st.lists(_ELEMENT, max_size=4))
def test_printing_and_parsing_are_inverse(elements):
    text = f"builtin.module({','.join(elements)})"
    tree = parse_syntax(text)
    assert str(tree) == text
    assert parse_syntax(str(tree)) == tree


_PIECES = ["builtin.module(", "func.func(", "cse", "canonicalize", "sparsifier", "pith-", "vl=16", "top-down", "-1"]
_SOUP = st.lists(
    st.sampled_from([*_PIECES, "max-iterations=", *"{}()[],= \n'\"\0é", *string.ascii_letters]), max_size=14
)


@settings(deadline=None, max_examples=300)
@given(st.one_of(_SOUP.map("".join), st.text(max_size=20)))
def test_any_text_parses_or_raises_pipeline_error(text):
    try:
        pipeline = parse_pipeline(text)
    except PipelineError as error:
        assert error.where is not None
    else:
        assert parse_pipeline(str(pipeline)) == pipeline
