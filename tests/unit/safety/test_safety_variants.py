"""The checker catches every installation with a mistake in it: each by its name, by a law that the mistake breaks."""

from pathlib import Path

import pytest
from safety_variants import ONE_FENCE_LESS, VARIANTS
from safety_world import run

PATIENCE = 400
"""Runs until a mistake counts as not caught. Most show within twenty."""


@pytest.mark.timeout(300)  # on a machine that is busy with something else
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


@pytest.mark.parametrize("name", ONE_FENCE_LESS)
def test_the_fence_behind_it_is_enough(name):
    for seed in range(10):
        broken = run(seed, ONE_FENCE_LESS[name], story="back too late").broken
        assert broken is None, f"seed {seed}: {broken}"


def test_the_documentation_names_every_mistake():
    text = (Path(__file__).parents[3] / "docs" / "safety.md").read_text()
    tables = "\n".join(line for line in text.splitlines() if line.startswith("|"))
    missing = [name for name in VARIANTS if f"`{name}`" not in tables]
    assert not missing
