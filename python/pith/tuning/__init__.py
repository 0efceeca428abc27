"""Which variant of a kernel runs: features, predicted times, calibration."""
