"""Marks of tests by what a machine may lack."""

import pytest
from pith.tools import ptxas

needs_ptxas = pytest.mark.skipif(ptxas.find_ptxas() is None, reason="ptxas is neither on PATH nor in a wheel")
