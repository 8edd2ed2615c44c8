"""The index: the newer word wins, and what is gone stays gone."""

from operator_kit import NAMESPACE, session_object

from whatsam_core.storage.cluster import SESSIONS
from whatsam_operator.services.index import Index

KEY = (NAMESPACE, "a")


def thing(version, uid="u1", phase="Pending"):
    return session_object("a", metadata={"resourceVersion": str(version), "uid": uid}, status={"phase": phase})


def index():
    changes = []
    return Index(lambda: changes.append(1)), changes


def test_an_older_version_changes_nothing_whoever_brings_it():
    known, changes = index()
    known.put(SESSIONS, thing(5, phase="Connected"), 1.0)
    known.put(SESSIONS, thing(4), 2.0)
    assert known.sessions[KEY].status.phase == "Connected"
    assert len(changes) == 1


def test_the_answer_to_a_write_that_arrives_after_the_deletion_brings_nothing_back():
    known, _ = index()
    known.put(SESSIONS, thing(5), 1.0)
    known.remove(SESSIONS, KEY, "u1")
    known.put(SESSIONS, thing(6), 2.0)
    assert KEY not in known.sessions


def test_a_deletion_of_a_former_life_leaves_the_new_one():
    known, _ = index()
    known.put(SESSIONS, thing(5), 1.0)
    known.put(SESSIONS, thing(9, uid="u2"), 2.0)
    known.remove(SESSIONS, KEY, "u1")
    assert known.sessions[KEY].metadata.uid == "u2"
    known.put(SESSIONS, thing(7), 3.0)
    assert known.sessions[KEY].metadata.uid == "u2"


def test_a_list_removes_what_it_lacks_but_not_what_came_since():
    known, _ = index()
    known.put(SESSIONS, thing(5), 1.0)
    known.replace(SESSIONS, [], sent_at=0.5)
    assert KEY in known.sessions, "told of after the list was asked for"
    known.replace(SESSIONS, [], sent_at=2.0)
    assert KEY not in known.sessions


def test_an_object_that_cannot_be_read_is_left_out_and_the_rest_goes_on():
    known, _ = index()
    known.put(SESSIONS, {**thing(5), "spec": {"tenant": ""}}, 1.0)
    assert KEY not in known.sessions
    known.put(SESSIONS, thing(6), 2.0)
    assert KEY in known.sessions


def test_a_session_that_only_says_how_it_fares_is_not_urgent():
    urgent, murmurs = [], []
    known = Index(lambda: urgent.append(1), lambda: murmurs.append(1))
    known.put(SESSIONS, thing(5), 1.0)
    assert (len(urgent), len(murmurs)) == (1, 0)
    known.put(SESSIONS, thing(6, phase="Connected"), 2.0)
    assert (len(urgent), len(murmurs)) == (1, 1)
    handed_over = session_object(
        "a",
        metadata={"resourceVersion": "7", "uid": "u1"},
        status={"phase": "Connected", "handover": {"epoch": 1, "seq": 3, "sha256": "0" * 64}},
    )
    known.put(SESSIONS, handed_over, 3.0)
    assert (len(urgent), len(murmurs)) == (2, 1), "somebody waits for a new holder"
    known.remove(SESSIONS, KEY, "u1")
    assert len(urgent) == 3
