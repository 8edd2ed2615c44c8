"""Thousands of small disasters: whatever happens to workers, operators, API server and store, every law holds.

Each run is chosen by a number. A number that breaks a law is told with the command that replays it. How many runs:
`WHATSAM_SAFETY_RUNS` for each story of faults; from which number on: `WHATSAM_SAFETY_FIRST`.
"""

import os

import pytest
from safety_stories import STORIES
from safety_world import run

RUNS = int(os.environ.get("WHATSAM_SAFETY_RUNS", "10"))
FIRST = int(os.environ.get("WHATSAM_SAFETY_FIRST", "0"))


@pytest.mark.timeout(max(300, RUNS))
@pytest.mark.parametrize("story", STORIES)
def test_every_law_holds(story):
    for seed in range(FIRST, FIRST + RUNS):
        outcome = run(seed, story=story)
        replay = f'.venv/bin/python tests/unit/safety/safety_replay.py {seed} "{story}"'
        assert outcome.broken is None, f"seed {seed}: {outcome.broken}\nreplay: {replay}"


def test_a_run_can_be_replayed():
    for seed in range(5):
        one, other = run(seed, keep_story=True), run(seed, keep_story=True)
        assert one.story == other.story
        assert one.events == other.events


WANTED = {
    "sent": 300,
    "calls taken": 50,
    "assigned": 50,
    "revoked": 10,
    "released": 2,
    "soft fence": 5,
    "hard fence": 3,
    "resumed": 3,
    "kernel timer": 1,
    "supervisor's timer": 1,
    "knows that it is revoked": 3,
    "prepared RESTORED": 30,
    "prepared LOCAL": 5,
    "leads no more": 5,
    "successor ready": 10,
    "makes way": 4,
    "handed over": 10,
    "unrepaired": 10,
}
"""What must happen in a few runs of each story: laws that are never put to the test prove nothing."""


def test_what_the_laws_are_about_does_happen():
    seen = dict.fromkeys(WANTED, 0)
    for story in STORIES:
        for seed in range(5):
            counts = run(1_000_000 + seed, story=story).counts
            for what in seen:
                seen[what] += counts.get(what, 0)
    missed = {what: count for what, count in seen.items() if count < WANTED[what]}
    assert not missed, f"too little of {missed}"
