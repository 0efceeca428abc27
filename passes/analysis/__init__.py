"""Analyses: functions from IR (or plain numbers) to frozen dataclasses, usable without a pass manager."""
