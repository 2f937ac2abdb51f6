"""`python -m xlac` is the command line."""

import sys

from xlac.cli import main

if __name__ == "__main__":
    sys.exit(main())
