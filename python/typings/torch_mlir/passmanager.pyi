# The wheel has no types for its native modules: every name is Any.
from typing import Any

def __getattr__(name: str) -> Any: ...
