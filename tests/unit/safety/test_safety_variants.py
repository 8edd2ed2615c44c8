"""The checker catches every installation with a mistake in it: each by its name, by a law that the mistake breaks."""

import pytest
from safety_variants import VARIANTS
from safety_world import run

PATIENCE = 400
"""Runs until a mistake counts as not caught. Most show within twenty."""


@pytest.mark.parametrize("name", VARIANTS)
def test_the_mistake_is_caught(name):
    variant = VARIANTS[name]
    by_accident: set[str] = set()
    for seed in range(PATIENCE):
        broken = run(seed, variant.rules, story=variant.story).broken
        if broken is not None and broken.law in variant.laws:
            return
        if broken is not None:
            by_accident.add(broken.law.name)
    pytest.fail(
        f"{PATIENCE} runs, and nobody noticed that {variant.mistake} (broken by it: {by_accident or 'nothing'})"
    )
