"""Ways that are timed by the calls that take them."""

from __future__ import annotations

from pith.functional.turns import Turns


def test_ways_are_timed_anew():
    ran, turns = [], Turns(("a", "b"), holds=3, most=5, row=2, turns=1)
    for _ in range(4 + 3 + 4 + 5 + 1):
        turns.run(ran.append)
    assert ran[:4] == ["a", "a", "b", "b"] == ran[7:11] and len(set(ran[4:7])) == 1 == len(set(ran[11:16]))
    assert ran[16] == "a" and turns.holds == 5


def test_calls_at_once_while_ways_are_timed():
    """As many threads as there are calls to time, and more: none of them has a time yet when the last asks."""
    turns, running = Turns(("a", "b"), holds=8, most=8), []

    def run(way):
        running.append(way)
        return turns.run(run) if len(running) < 20 else "done"

    assert turns.run(run) == "done"
    assert set(running) == set(turns.least) == {"a", "b"}
