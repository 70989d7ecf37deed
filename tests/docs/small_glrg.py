"""`glrg` for the shell lines of the pages: the command as it stands there, made small as plan.SMALL says."""

from __future__ import annotations

import sys

from glrg_cli.main import main
from tests.docs import runner

if __name__ == "__main__":
    sys.exit(main(runner.small(["glrg", *sys.argv[1:]])[1:]))
