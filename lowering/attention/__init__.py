"""Attention on a CPU: index streams of keys and one dense body with online softmax."""
