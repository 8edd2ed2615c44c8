"""Replays one run and tells its story: `python tests/unit/safety/safety_replay.py SEED [STORY [VARIANT]]`."""

import sys

from safety_rules import Rules
from safety_variants import VARIANTS
from safety_world import run


def main() -> None:
    """Print what happened, and which law was broken."""
    seed, story, variant = (*sys.argv[1:], None, None)[:3]
    rules = Rules() if variant is None else VARIANTS[variant].rules
    outcome = run(int(seed or 0), rules, story=story, keep_story=True)
    print("\n".join(outcome.story))
    print(f"seed {outcome.seed}: {outcome.broken or 'every law held'}")


if __name__ == "__main__":
    main()
