"""The generated reference is current, and says something about everything."""

import pathlib

import pytest
from pith.tools import gendocs
from pith.tools.docstrings import Docstring

DOCS = pathlib.Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", gendocs.PAGES)
def test_pages_are_current(page):
    text = (DOCS / page).read_text(encoding="utf-8")
    assert text == gendocs.PAGES[page](), f"docs/{page} is stale: run `python -m pith.tools.gendocs`"


def test_check_finds_a_stale_page(tmp_path, capsys):
    assert gendocs.main([str(tmp_path)]) == 0
    assert gendocs.main([str(tmp_path), "--check"]) == 0
    (tmp_path / "dialect.md").write_text("old")
    assert gendocs.main([str(tmp_path), "--check"]) == 1
    assert "dialect.md is stale" in capsys.readouterr().err
    assert (tmp_path / "dialect.md").read_text() == "old"


def test_every_definition_is_described():
    from pith.dialect import Pith

    for cls in (*Pith.operations, *Pith.types, *Pith.attributes):
        doc = Docstring.parse(cls.__doc__)
        assert doc.summary, cls
        for section in ("Errors", "Source", "Example"):
            assert any(title.startswith(section) for title in doc.sections), f"{cls.__name__} has no {section}"
    for cls in Pith.operations:
        assert {"Shapes", "Semantics"} <= Docstring.parse(cls.__doc__).sections.keys(), cls
