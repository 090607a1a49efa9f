"""The module that the starters run: the program as in a frozen build, where `sys.executable` starts workers too."""

import sys

sys.frozen = "starter"  # type: ignore[attr-defined]

from localai_app.__main__ import main  # noqa: E402 - it may look at sys.frozen

sys.exit(main())
