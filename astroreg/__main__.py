"""``python -m astroreg``: the command line."""

import sys

from astroreg.cli import main

sys.exit(main())
