"""``python -m graddiag``: the command line."""

import sys

from graddiag.cli import main

if __name__ == "__main__":
    sys.exit(main())
