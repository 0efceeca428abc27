"""Fixtures of the binding pins: what the host wheel does, so that a wheel bump shows what changed."""

import subprocess
import sys

import pytest
from pith import dialect
from pith._mlir import ir


@pytest.fixture
def context():
    """A current context with pith loaded, and an unknown location."""
    with dialect.make_context() as ctx, ir.Location.unknown():
        yield ctx


@pytest.fixture
def run_script():
    """Run Python source in a process of its own, for edges that end the process."""

    def run(source: str) -> subprocess.CompletedProcess:
        return subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=120)

    return run
