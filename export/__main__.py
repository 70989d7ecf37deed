"""`python -m export ...` is `glrg export ...`.

Started by name and not imported: the command line stands below this package (docs/architecture.md).
"""

from __future__ import annotations

import runpy
import sys

if __name__ == "__main__":
    sys.argv[1:1] = ["export"]
    runpy.run_module("glrg_cli", run_name="__main__")
