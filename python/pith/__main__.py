"""``python -m pith``: the command ``pith``."""

import sys

from .cli.main import main

if __name__ == "__main__":
    sys.exit(main())
