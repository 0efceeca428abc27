"""Patterns made and kept on the device: detection, sets, routing, lists and their groups."""
