"""Of several sessions with one device the eldest that stays may run."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from operator_kit import START, session

from whatsam_operator.planning.duplicates import younger_duplicates


@st.composite
def some_sessions(draw):
    found = []
    for number in range(draw(st.integers(0, 8))):
        created = START + timedelta(seconds=draw(st.integers(0, 3)))
        metadata = {"creationTimestamp": created.isoformat()}
        if draw(st.booleans()):
            metadata["deletionTimestamp"] = START.isoformat()
        jid = draw(st.sampled_from([None, "1@s", "2@s"]))
        found.append(session(f"s{number}", metadata=metadata, status={"jid": jid} if jid else {}))
    return found


@given(some_sessions())
def test_exactly_those_are_younger_that_have_an_elder_who_stays(sessions):
    younger = younger_duplicates(sessions)
    for one in sessions:
        rivals = [other for other in sessions if other.status.jid and other.status.jid == one.status.jid]
        staying = [other for other in rivals if not other.metadata.deleting]
        eldest = min(staying, key=lambda other: (other.metadata.creation_timestamp, other.metadata.uid), default=None)
        expected = eldest if eldest is not None and eldest is not one else None
        assert younger.get(one.metadata.uid) is expected
