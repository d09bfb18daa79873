"""`python -m tercel` is the command line of the interpreter at hand; see `tercel.cli.main`."""

from __future__ import annotations

import sys

from tercel.cli.main import main

sys.exit(main())
