"""`python -m glrg_cli` is `glrg`."""

from __future__ import annotations

import sys

from glrg_cli.main import main

if __name__ == "__main__":
    sys.exit(main())
