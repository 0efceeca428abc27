"""Instructions of x86 that MLIR has ops for: what conversions leave over, and emulation."""
