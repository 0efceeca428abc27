"""The progress bar: silent where nobody looks, for a while where somebody does, and gone at the end."""

import io
import time

import pytest
from pith.progress import ProgressBar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def stderr(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO) -> io.StringIO:
    """``stream`` in the place of stderr; called in the test itself, as pytest sets its own before each."""
    monkeypatch.setattr("sys.stderr", stream)
    return stream


def wait_for(condition) -> bool:
    end = time.monotonic() + 10
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    return condition()


def test_a_file_gets_nothing(monkeypatch):
    stream = stderr(monkeypatch, io.StringIO())
    with ProgressBar() as progress:
        progress(0.5, "work")
    assert stream.getvalue() == ""


def test_what_is_fast_shows_nothing(monkeypatch):
    terminal = stderr(monkeypatch, Terminal())
    with ProgressBar(delay=60) as progress:
        progress(0.0, "work")
        progress(0.9, "work")
    assert terminal.getvalue() == ""


def test_a_slow_step_appears_by_itself_and_is_cleared(monkeypatch):
    terminal = stderr(monkeypatch, Terminal())
    with ProgressBar(delay=0.01) as progress:
        progress(0.25, "the first step")
        assert wait_for(lambda: "25 %" in terminal.getvalue() and "the first step" in terminal.getvalue())
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_bars_inside_of_one_are_silent(monkeypatch):
    terminal = stderr(monkeypatch, Terminal())
    with ProgressBar() as outer, ProgressBar() as inner:
        inner(0.5, "inside")
        outer(0.5, "outside")
    assert "inside" not in terminal.getvalue() and "outside" in terminal.getvalue()
    with ProgressBar() as progress:
        progress(1.0, "afterwards")
    assert "afterwards" in terminal.getvalue()
