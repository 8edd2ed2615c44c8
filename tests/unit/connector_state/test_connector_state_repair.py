"""The repair of counters that went back: chain arithmetic, record format, one transaction, once."""

import base64
import hashlib
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatsam_connector.state import RepairMode
from whatsam_connector.state.errors import FormatError
from whatsam_connector.state.repair import chains, json_record, sender_key_record, session_record
from whatsam_connector.state.repair.database import RepairOrder, repair

AT = datetime(2026, 1, 1, tzinfo=UTC)
US = "4915:1@s.whatsapp.net"
REAL_SESSION = (
    b'{"SessionState":{"LocalIdentityPublic":"BaApkT5xx5OnRA5u7dHAzt1w+XT9JWBuPlzjh7dHB0dW","LocalRegistrationID":86054'
    b'8265,"NeedsRefresh":false,"PendingKeyExchange":null,"PendingPreKey":null,"PreviousCounter":4294967295,"ReceiverChai'
    b'ns":[{"SenderRatchetKeyPublic":"BS7WzoPiIcEYE6p+kfjqf/dR/ArIDpOpRnHZKr97j2Us","SenderRatchetKeyPrivate":null,"Chain'
    b'Key":{"Key":"SVQaS0KoZ3dMf1CLoyea9xpEBhH5gGWBnNsMVDfgMQM=","Index":0},"MessageKeys":[]}],"RemoteIdentityPublic":"BY'
    b'lkEYYJjSv3H+dMwvh8errxDJH6GQ/j5ZG4sfGKR3sP","RemoteRegistrationID":78903411,"RootKey":"iB2L1HJV34tjXQSuS6Ex5d6is9kF'
    b'Q9jJCyZcI5gvZmE=","SenderBaseKey":"BUjrvGu7LwU61M6WoDe+PoKFlCshXUWOT3AOhTzzzwQK","SenderChain":{"SenderRatchetKeyPu'
    b'blic":"BYD/gfGoejrjPoL9LqjCl5yVto90ZtwNxDaZnTiM3aYY","SenderRatchetKeyPrivate":"kKtTfI7Ryrwpwl9eJ0DED198/b+Vr//U0Mu'
    b'NGMpEukQ=","ChainKey":{"Key":"ueuy5VMf7WfU08Gg6sceUcp2TX5K+PqvncsSRa9Y00I=","Index":0},"MessageKeys":[]},"SessionVe'
    b'rsion":3},"PreviousStates":[]}'
)
"""Written by neonize 0.5.2 for a simulated account."""


def b64(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def record(name: str, index: int = 5, archived: int = 0) -> bytes:
    def chain(label: str, at: int) -> dict[str, object]:
        return {
            "SenderRatchetKeyPublic": b64(label + "p"),
            "SenderRatchetKeyPrivate": b64(label + "s"),
            "ChainKey": {"Key": b64(label + "c"), "Index": at},
            "MessageKeys": [],
        }

    def state(label: str, at: int) -> dict[str, object]:
        return {"RootKey": b64(label), "SenderChain": chain(label, at), "ReceiverChains": [chain(label + "r", 9)]}

    whole = {
        "SessionState": state(name, index),
        "PreviousStates": [state(f"{name}{n}", index + n) for n in range(archived)],
    }
    return json.dumps(whole, separators=(",", ":")).encode()


def sender_key(*own: bool) -> bytes:
    states = [
        {
            "Keys": [],
            "KeyID": n,
            "SenderChainKey": {"Iteration": 1, "ChainKey": b64("k")},
            "SigningKeyPrivate": b64("s") if mine else base64.b64encode(bytes(32)).decode(),
            "SigningKeyPublic": b64("p"),
        }
        for n, mine in enumerate(own)
    ]
    return json.dumps({"SenderKeyStates": states}, separators=(",", ":")).encode()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "s.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(
            "CREATE TABLE whatsmeow_sessions (our_jid TEXT, their_id TEXT, session bytea);"
            "CREATE TABLE whatsmeow_sender_keys (our_jid TEXT, chat_id TEXT, sender_id TEXT, sender_key bytea);"
        )
        db.executemany(
            "INSERT INTO whatsmeow_sessions VALUES (?,?,?)",
            [(US, "1_1:0", record("a", 5, 2)), (US, "2_1:0", record("b", 0)), (US, "3_1:0", REAL_SESSION)],
        )
        db.executemany(
            "INSERT INTO whatsmeow_sender_keys VALUES (?,?,?,?)",
            [(US, "g", "me", sender_key(True)), (US, "g", "you", sender_key(False, False))],
        )
        db.commit()
    return path


def order(
    epoch: int = 2, source: str = "1-b1-3", mode: RepairMode = RepairMode.ADVANCE, steps: int = 64
) -> RepairOrder:
    return RepairOrder(epoch, "boot", source, mode, steps)


def sessions(path: Path) -> dict[str, bytes]:
    with closing(sqlite3.connect(path)) as db:
        return dict(db.execute("SELECT their_id, session FROM whatsmeow_sessions"))


def index(raw: bytes) -> int:
    position = session_record.position(raw)
    assert position is not None
    return position.index


@given(key=st.binary(min_size=32, max_size=32), first=st.integers(0, 40), second=st.integers(0, 40))
def test_steps_add_up(key: bytes, first: int, second: int) -> None:
    assert chains.stepped(chains.stepped(key, first), second) == chains.stepped(key, first + second)


@given(index_=st.integers(0, 1 << 31), archived=st.integers(0, 3), steps=st.integers(1, 30))
def test_a_record_moved_by_n_is_a_record_moved_n_times_by_one(index_: int, archived: int, steps: int) -> None:
    raw = many = record("x", index_, archived)
    for _ in range(steps):
        many = session_record.advance(many, 1).raw
    advanced = session_record.advance(raw, steps)
    assert advanced.raw == many
    assert advanced.chains == archived + 1
    assert index(many) == index_ + steps
    before, after = json.loads(raw), json.loads(many)
    assert after["SessionState"]["ReceiverChains"] == before["SessionState"]["ReceiverChains"]


def test_a_real_record_survives_byte_for_byte() -> None:
    assert json_record.dump(json_record.parse(REAL_SESSION)) == REAL_SESSION
    assert session_record.advance(REAL_SESSION, 0).raw == REAL_SESSION
    assert index(session_record.advance(REAL_SESSION, 64).raw) == 64


@given(raw=st.binary(max_size=60))
def test_anything_else_is_a_format_error(raw: bytes) -> None:
    with pytest.raises(FormatError):
        session_record.advance(raw, 1)
    with pytest.raises(FormatError):
        sender_key_record.is_own(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"SessionState": null,"PreviousStates":[]}',
        b'{"SessionState":5,"PreviousStates":[]}',
        b'{"SessionState":{}}',
        b'{"SessionState":{"SenderChain":{"SenderRatchetKeyPublic":"AAAA","ChainKey":{"Key":"AAAA","Index":0}}},"PreviousStates":[]}',
        b'{"SessionState":{"SenderChain":{"SenderRatchetKeyPublic":"AAAA","ChainKey":null}},"PreviousStates":[]}',
        b'{"SessionState":{"SenderChain":{"SenderRatchetKeyPublic":"AAAA"}},"PreviousStates":"x"}',
    ],
)
def test_near_misses_are_format_errors(raw: bytes) -> None:
    with pytest.raises(FormatError):
        session_record.advance(raw, 1)


def test_own_and_foreign_sender_keys_are_told_apart() -> None:
    assert sender_key_record.is_own(sender_key(True))
    assert sender_key_record.is_own(sender_key(False, True))
    assert not sender_key_record.is_own(sender_key(False, False))
    assert not sender_key_record.is_own(b'{"SenderKeyStates":null}')


def test_a_repair_moves_every_chain_and_deletes_own_sender_keys_only(database: Path) -> None:
    report = repair(database, order(), at=AT)
    assert (report.sessions, report.chains, report.sender_keys_deleted, report.unreadable) == (3, 5, 1, 0)
    assert {their: index(raw) for their, raw in sessions(database).items()} == {"1_1:0": 69, "2_1:0": 64, "3_1:0": 64}
    with closing(sqlite3.connect(database)) as db:
        assert db.execute("SELECT sender_id FROM whatsmeow_sender_keys").fetchall() == [("you",)]


def test_the_same_repair_happens_once_and_another_one_again(database: Path) -> None:
    first = repair(database, order(), at=AT)
    before = sessions(database)
    again = repair(database, order(), at=AT)
    assert again.repeated
    assert (again.sessions, again.chains) == (first.sessions, first.chains)
    assert sessions(database) == before
    # the same claim, but on a later state: that one went back too
    assert not repair(database, order(source="2-boot-1"), at=AT).repeated
    assert index(sessions(database)["2_1:0"]) == 128


def test_the_same_replica_gives_the_same_result(database: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    copy.write_bytes(database.read_bytes())
    repair(database, order(), at=AT)
    repair(copy, order(), at=AT)
    assert sessions(copy) == sessions(database)


def test_a_crash_loop_drops_a_session_before_receivers_refuse_the_jump(database: Path) -> None:
    for epoch in range(2, 27):
        report = repair(database, order(epoch), at=AT)
        assert report.sessions_deleted == 0, epoch
    assert repair(database, order(27), at=AT).sessions_deleted == 3  # 26 x 64 > 1600
    assert sessions(database) == {}


def test_a_message_in_between_starts_the_jump_anew(database: Path) -> None:
    for epoch in range(2, 60):
        assert repair(database, order(epoch), at=AT).sessions_deleted == 0
        with closing(sqlite3.connect(database)) as db:
            for their, raw in sessions(database).items():
                moved = session_record.advance(raw, 1).raw
                db.execute("UPDATE whatsmeow_sessions SET session=? WHERE their_id=?", (moved, their))
            db.commit()


def test_an_unknown_record_is_dropped_rather_than_used(database: Path) -> None:
    with closing(sqlite3.connect(database)) as db:
        db.execute("UPDATE whatsmeow_sessions SET session=? WHERE their_id='1_1:0'", (b"\x0a\x03abc",))
        db.execute("UPDATE whatsmeow_sender_keys SET sender_key=? WHERE sender_id='you'", ("text",))
        db.commit()
    report = repair(database, order(), at=AT)
    assert (report.unreadable, report.sessions_deleted, report.sender_keys_deleted) == (2, 1, 2)
    assert set(sessions(database)) == {"2_1:0", "3_1:0"}


def test_a_state_of_unknown_age_loses_its_sessions_and_own_sender_keys(database: Path) -> None:
    report = repair(database, order(mode=RepairMode.DROP_SESSIONS, steps=0), at=AT)
    assert (report.sessions_deleted, report.sender_keys_deleted) == (3, 1)
    assert sessions(database) == {}


def test_tables_of_another_shape_leave_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE whatsmeow_sessions (something TEXT)")
        db.commit()
    before = path.read_bytes()
    with pytest.raises(FormatError):
        repair(path, order(), at=AT)
    assert path.read_bytes() == before
