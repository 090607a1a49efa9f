"""`python -m tools.package [TARGET ...]`: run by `dev.py package` in an environment that has what it takes.

`python -m tools.package verify DIR` checks a release by its signature (tools/package/verify.py).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from tools.dev.console import StepError, format_seconds
from tools.package.targets import TARGETS, Target


def main(names: Sequence[str]) -> int:
    """Make the named targets, or all that this computer can make; 1 if one that was named or could be made failed."""
    if names[:1] == ["verify"]:
        from tools.package import verify

        return verify.main(names[1:])
    known = {target.name: target for target in TARGETS}
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"There is no target {unknown[0]!r}; there are: {', '.join(known)}.", file=sys.stderr)
        return 2
    wanted = [known[name] for name in names] or [target for target in TARGETS if target.is_default]
    return max((_make(target, is_named=bool(names)) for target in wanted), default=0)


def _make(target: Target, *, is_named: bool) -> int:
    problem = target.missing()
    if problem:
        print(f"{target.title}: not made here. {problem}", file=sys.stderr, flush=True)
        return int(is_named)
    print(f"{target.title} ...", file=sys.stderr, flush=True)
    started = time.monotonic()
    try:
        made = target.build()
    except StepError as failure:
        print(f"{target.title}: {failure}", file=sys.stderr, flush=True)
        return 1
    print(f"{target.title}: {made} ({format_seconds(time.monotonic() - started)})", file=sys.stderr, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
