"""The choice of the state a session starts from: named outcomes, and the laws that no order of failures may break."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatsam_connector.state.decision import (
    STEPS,
    Advance,
    Claim,
    LastHandover,
    LocalState,
    Plan,
    ReadBase,
    SeenBase,
    Verdict,
    decide,
    same_device,
)
from whatsam_connector.state.envelope import BaseHeader
from whatsam_connector.state.records import PrepareOutcome, RepairMode
from whatsam_core.sessions_state import BaseRef, base_key

JID = "4915@s.whatsapp.net"
CLAIM = Claim(tenant="t", epoch=5, boot="b5", jid=JID)


def ref(epoch: int, seq: int, boot: str | None = None) -> BaseRef:
    boot = boot or f"b{epoch}"
    return BaseRef(epoch, seq, boot, base_key("p/", epoch, boot, seq))


def header(at: BaseRef, tenant: str = "t") -> BaseHeader:
    return BaseHeader(
        tenant=tenant,
        session="ns/name",
        uid="u",
        jid=JID,
        epoch=at.epoch,
        boot=at.boot,
        seq=at.seq,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        engine="e",
        schema_version=15,
        schema_compat=8,
        sha256=f"sha-{at.epoch}-{at.seq}",
        size=1,
        data_key="f",
    )


def sound(epoch: int, seq: int, tenant: str = "t") -> SeenBase:
    return SeenBase(ref(epoch, seq), Verdict.SOUND, header(ref(epoch, seq), tenant))


def damaged(epoch: int, seq: int) -> SeenBase:
    return SeenBase(ref(epoch, seq), Verdict.DAMAGED, None, "broken")


LOCAL = LocalState(epoch=4, boot="b4", tenant="t", jid=JID, sound=True)


def plan(claim: Claim, local: LocalState | None, bases: list[SeenBase]) -> Plan:
    answer = decide(claim, local, bases)
    assert isinstance(answer, Plan)
    return answer


def test_after_a_power_cut_the_stored_state_is_repaired_and_a_lone_file_loses_its_sessions() -> None:
    cut = replace(LOCAL, machine_ran_on=False)
    assert plan(CLAIM, cut, [sound(4, 2)]).repair == Advance(RepairMode.ADVANCE, STEPS)
    alone = plan(CLAIM, cut, [])
    assert (alone.outcome, alone.repair) == (PrepareOutcome.LOCAL, Advance(RepairMode.DROP_SESSIONS, 0))


def test_nothing_anywhere_pairs_only_when_no_device_is_known() -> None:
    assert plan(replace(CLAIM, jid=None), None, []).outcome is PrepareOutcome.FRESH
    assert plan(CLAIM, None, []).outcome is PrepareOutcome.MISSING
    handed = LastHandover(4, 9, "x")
    assert plan(replace(CLAIM, jid=None, handover=handed), None, []).outcome is PrepareOutcome.MISSING


def test_it_asks_to_read_the_newest_base_first() -> None:
    assert decide(CLAIM, None, [SeenBase(ref(4, 2)), SeenBase(ref(4, 1))]) == ReadBase(ref(4, 2))
    assert decide(CLAIM, None, [damaged(4, 2), SeenBase(ref(4, 1))]) == ReadBase(ref(4, 1))


def test_a_restore_is_repaired_unless_it_is_exactly_what_was_handed_over() -> None:
    bases = [sound(4, 2), sound(4, 1)]
    assert plan(CLAIM, None, bases).repair == Advance(RepairMode.ADVANCE, STEPS)
    clean = replace(CLAIM, handover=LastHandover(4, 2, "sha-4-2"))
    assert plan(clean, None, bases).repair is None
    for wrong in (LastHandover(4, 2, "other"), LastHandover(4, 1, "sha-4-1"), LastHandover(3, 2, "sha-4-2")):
        assert plan(replace(CLAIM, handover=wrong), None, bases).repair == Advance(RepairMode.ADVANCE, STEPS)


def test_a_damaged_newest_base_costs_more_steps_and_an_unknown_gap_costs_the_sessions() -> None:
    assert plan(CLAIM, None, [damaged(4, 3), sound(4, 1)]).repair == Advance(RepairMode.ADVANCE, 3 * STEPS)
    assert plan(CLAIM, None, [damaged(4, 30), sound(4, 1)]).repair == Advance(RepairMode.DROP_SESSIONS, 0)
    assert plan(CLAIM, None, [damaged(4, 1), sound(3, 9)]).repair == Advance(RepairMode.DROP_SESSIONS, 0)


def test_a_handover_that_the_store_lost_counts_as_a_gap() -> None:
    lost = replace(CLAIM, handover=LastHandover(4, 3, "x"))
    assert plan(lost, None, [sound(4, 1)]).repair == Advance(RepairMode.ADVANCE, 3 * STEPS)
    lost = replace(CLAIM, handover=LastHandover(4, 1, "x"))
    assert plan(lost, None, [sound(3, 9)]).repair == Advance(RepairMode.DROP_SESSIONS, 0)


def test_only_damaged_states_are_reported_and_never_paired_over() -> None:
    for jid in (JID, None):
        assert plan(replace(CLAIM, jid=jid), None, [damaged(4, 1)]).outcome is PrepareOutcome.DAMAGED


def test_a_newer_engines_state_is_not_bypassed_by_an_older_one() -> None:
    newer = SeenBase(ref(4, 2), Verdict.NEWER_ENGINE, header(ref(4, 2)), "too new")
    assert plan(CLAIM, None, [newer, sound(4, 1)]).outcome is PrepareOutcome.NEWER_ENGINE


def test_another_tenants_state_is_refused_even_behind_a_damaged_base() -> None:
    assert plan(CLAIM, None, [sound(4, 2, "x")]).outcome is PrepareOutcome.FOREIGN_TENANT
    assert plan(CLAIM, None, [damaged(4, 2), sound(4, 1, "x")]).outcome is PrepareOutcome.FOREIGN_TENANT


@pytest.mark.parametrize(
    ("local", "bases", "expected"),
    [
        (LOCAL, [sound(4, 2)], PrepareOutcome.LOCAL),
        (LOCAL, [sound(3, 2)], PrepareOutcome.LOCAL),
        (LOCAL, [], PrepareOutcome.LOCAL),
        (replace(LOCAL, machine_ran_on=False), [sound(4, 2)], PrepareOutcome.RESTORED),
        (replace(LOCAL, sound=False), [sound(4, 2)], PrepareOutcome.RESTORED),
        (replace(LOCAL, sound=False), [], PrepareOutcome.MISSING),
        (replace(LOCAL, jid=None), [sound(4, 2)], PrepareOutcome.RESTORED),
        (replace(LOCAL, tenant="x"), [sound(4, 2)], PrepareOutcome.RESTORED),
        (replace(LOCAL, jid="1@s.whatsapp.net"), [sound(4, 2)], PrepareOutcome.RESTORED),
        (replace(LOCAL, epoch=3, boot="b3"), [sound(4, 2)], PrepareOutcome.RESTORED),
        (replace(LOCAL, boot="other"), [sound(4, 2)], PrepareOutcome.RESTORED),
        (replace(LOCAL, epoch=6), [sound(4, 2)], PrepareOutcome.RESTORED),
        (replace(LOCAL, epoch=5, boot="b5"), [sound(5, 2)], PrepareOutcome.LOCAL),
        (replace(LOCAL, epoch=5, boot="other"), [sound(4, 2)], PrepareOutcome.RESTORED),
    ],
)
def test_when_the_local_file_is_the_newest_state(
    local: LocalState, bases: list[SeenBase], expected: PrepareOutcome
) -> None:
    assert plan(CLAIM, local, bases).outcome is expected


def test_a_local_file_of_unknown_age_loses_its_sessions() -> None:
    old = replace(LOCAL, epoch=2, boot="b2")
    assert plan(CLAIM, old, []) == replace(
        plan(CLAIM, old, []), outcome=PrepareOutcome.LOCAL, repair=Advance(RepairMode.DROP_SESSIONS, 0)
    )


def test_a_later_handover_proves_that_the_local_file_is_old() -> None:
    handed = replace(CLAIM, handover=LastHandover(4, 9, "x"))
    assert plan(handed, replace(LOCAL, epoch=3, boot="b3"), []).outcome is PrepareOutcome.MISSING


def test_a_new_pairing_on_request_ignores_what_is_kept_but_not_a_newer_epoch() -> None:
    fresh = replace(CLAIM, fresh=True)
    assert plan(fresh, LOCAL, [sound(4, 2)]).outcome is PrepareOutcome.FRESH
    assert plan(fresh, LOCAL, [sound(6, 2)]).outcome is PrepareOutcome.EPOCH_BEHIND


def test_same_device() -> None:
    assert same_device("49.0:7@s.whatsapp.net", "49:7@s.whatsapp.net")
    assert same_device("49@s.whatsapp.net", "49:0@s.whatsapp.net")
    assert not same_device("49:7@s.whatsapp.net", "49:8@s.whatsapp.net")
    assert not same_device("49:7@s.whatsapp.net", "49:7@lid")
    assert not same_device(None, None)


refs = st.builds(ref, st.integers(1, 6), st.integers(1, 4), st.sampled_from(["b1", "b2", "b5"]))
claims = st.builds(
    Claim,
    tenant=st.just("t"),
    epoch=st.integers(1, 6),
    boot=st.sampled_from(["b1", "b2", "b5"]),
    jid=st.sampled_from([None, JID]),
    handover=st.none()
    | st.builds(LastHandover, st.integers(1, 6), st.integers(0, 4), st.sampled_from(["x", "sha-4-2"])),
)
locals_ = st.none() | st.builds(
    LocalState,
    st.integers(1, 6),
    st.sampled_from(["b1", "b2", "b5"]),
    st.just("t"),
    st.sampled_from([None, JID]),
    st.booleans(),
)


@given(
    claim=claims,
    local=locals_,
    stored=st.sets(refs, max_size=5),
    broken=st.sets(refs),
    foreign=st.booleans(),
)
def test_laws(
    claim: Claim, local: LocalState | None, stored: set[BaseRef], broken: set[BaseRef], foreign: bool
) -> None:
    bases = [SeenBase(one) for one in sorted(stored, reverse=True)]
    tenant = "x" if foreign else "t"
    reads = 0
    while isinstance(answer := decide(claim, local, bases), ReadBase):
        reads += 1
        assert reads <= len(bases)
        assert next(s for s in bases if s.verdict is Verdict.UNREAD).ref == answer.ref
        bases = [
            s
            if s.ref != answer.ref
            else (
                SeenBase(s.ref, Verdict.DAMAGED, None, "broken")
                if s.ref in broken
                else SeenBase(s.ref, Verdict.SOUND, header(s.ref, tenant))
            )
            for s in bases
        ]
    newest = bases[0].ref if bases else None
    if newest is not None and (
        newest.epoch > claim.epoch or (newest.epoch == claim.epoch and newest.boot != claim.boot)
    ):
        assert answer.outcome is PrepareOutcome.EPOCH_BEHIND
        return
    if answer.outcome is PrepareOutcome.LOCAL:
        # never when another, later epoch is in the store
        assert local is not None
        assert local.sound
        assert local.jid is not None
        assert all((s.ref.epoch, s.ref.boot) <= (local.epoch, local.boot) or s.ref.epoch < local.epoch for s in bases)
    elif answer.outcome is PrepareOutcome.RESTORED:
        # never an older state when a newer complete one exists
        complete = [s.ref for s in bases if s.ref not in broken]
        assert answer.base == max(complete)
        assert not foreign
        if answer.base != newest:
            assert answer.repair is not None
    elif answer.outcome is PrepareOutcome.FRESH:
        assert not bases
        assert claim.jid is None
    elif answer.outcome is PrepareOutcome.DAMAGED:
        assert bases
        assert all(s.ref in broken for s in bases)
    elif answer.outcome is PrepareOutcome.MISSING:
        assert not bases
    elif answer.outcome is PrepareOutcome.FOREIGN_TENANT:
        assert foreign
    else:
        raise AssertionError(answer.outcome)


def test_a_handover_says_nothing_about_a_state_with_damaged_newer_ones() -> None:
    handed = replace(CLAIM, handover=LastHandover(3, 9, "sha-3-9"))
    assert plan(handed, None, [damaged(4, 1), sound(3, 9)]).repair == Advance(RepairMode.DROP_SESSIONS, 0)
