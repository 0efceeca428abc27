"""Products on tensor cores and FMAs: index streams x dense tile bodies x tiles in shared memory."""
