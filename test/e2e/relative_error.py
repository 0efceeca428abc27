"""How far a result is from the float64 reference."""

import numpy as np


def error_of(out, reference):
    """``||out - reference|| / ||reference||``; the norm itself where the reference is zero. NaN fails every bound."""
    return float(np.linalg.norm(np.asarray(out, np.float64) - reference) / (np.linalg.norm(reference) or 1.0))
