"""Runs a comparison with the echo back end in a process of its own, which a test may kill: DATA_DIR ID WAY.

ID 0 begins one of 2 models x 20 prompts x 2 repeats, another number goes on with it. Its number is printed.
"""

from __future__ import annotations

import sys
from pathlib import Path

from localai_app.compare.comparison import Way
from localai_app.compare.prompts import Prompt
from tests.helpers.comparisons import spec
from tests.helpers.services_fixture import open_services

PROMPTS, REPEATS = 20, 2


def main() -> None:
    """Run to the end."""
    data_dir, comparison_id, way = Path(sys.argv[1]), int(sys.argv[2]), Way(sys.argv[3])
    with open_services(data_dir, echo=("--tokens", "4", "--tokens-per-s", "100")) as services:
        comparisons = services.compare.comparisons
        if comparison_id:
            comparisons.resume(comparison_id)
        else:
            prompts = tuple(Prompt(text=f"Question {number}?") for number in range(PROMPTS))
            comparison_id = comparisons.start(spec(prompts=prompts, repeats=REPEATS, way=way, same_seed=False))
        print(comparison_id, flush=True)
        while not comparisons.wait(1.0):
            pass


if __name__ == "__main__":
    main()
