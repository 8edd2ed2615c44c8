"""Mailboxes, accounts and what is kept of them across restarts."""

from __future__ import annotations

from pathlib import Path

import pytest

from whatsam_simulator.crypto.keys import KeyPair
from whatsam_simulator.crypto.ratchet import Bundle
from whatsam_simulator.crypto.signal_device import SIGNED_PREKEY, SignalDevice
from whatsam_simulator.errors import SimulatorError, UnknownItem, UnknownNumber
from whatsam_simulator.wire.binary_xml import Codec
from whatsam_simulator.wire.jid import Jid
from whatsam_simulator.wire.node import Node, element
from whatsam_simulator.world.mailbox import Mailbox
from whatsam_simulator.world.records import Device
from whatsam_simulator.world.storage import Storage, stored_key
from whatsam_simulator.world.world import World

ADA, BOB = "4915180000001", "4915180000002"


def receipt(stanza_id: str, sender: str, kind: str | None = None) -> Node:
    return element("receipt", {"id": stanza_id, "from": Jid(sender, "lid"), "type": kind})


def test_a_mailbox_gives_back_what_was_not_acknowledged_in_order() -> None:
    mailbox = Mailbox()
    stanzas = [element("message", {"id": f"m{n}", "from": Jid("1", "lid")}) for n in range(3)]
    for stanza in stanzas:
        mailbox.put(stanza)
    mailbox.put(stanzas[1])
    assert mailbox.waiting() == stanzas
    assert mailbox.acknowledge_message("m1")
    assert not mailbox.acknowledge_message("m1")
    assert mailbox.waiting() == [stanzas[0], stanzas[2]]
    assert len(mailbox) == 2


def test_receipts_of_one_message_are_acknowledged_one_by_one() -> None:
    mailbox = Mailbox()
    for sender, kind in (("1", None), ("1", "read"), ("2", None)):
        mailbox.put(receipt("m", sender, kind))
    mailbox.acknowledge("receipt", "m", "1@lid", None, "read")
    assert mailbox.waiting() == [receipt("m", "1"), receipt("m", "2")]
    mailbox.acknowledge("receipt", "unknown", "1@lid", None, None)
    mailbox.acknowledge("receipt", "m", "1@lid", None, None)
    mailbox.acknowledge("receipt", "m", "2@lid", None, None)
    assert len(mailbox) == 0


def copy(count: int | None) -> Node:
    encrypted = element("enc", {"type": "msg", "count": count}, b"")
    return element("message", {"id": "m", "from": Jid("1", "lid")}, [encrypted])


def test_the_answer_to_a_retry_receipt_outlives_late_words_about_the_copy_that_failed() -> None:
    mailbox = Mailbox()
    mailbox.put(copy(None))
    assert mailbox.acknowledge_message("m", retry=1)
    mailbox.put(copy(1))
    mailbox.acknowledge("message", "m", "1@lid", None, None)
    assert not mailbox.acknowledge_message("m", retry=1)
    assert mailbox.waiting() == [copy(1)]
    assert mailbox.acknowledge_message("m", retry=2)
    mailbox.put(copy(2))
    assert mailbox.acknowledge_message("m")
    assert len(mailbox) == 0


def test_accounts_are_found_by_number_and_lid() -> None:
    world = World()
    account = world.ensure_account(ADA, "Ada")
    assert world.ensure_account(ADA) is account
    assert account.name == "Ada"
    assert world.find(account.pn) is world.find(account.lid) is account
    assert world.device(account.phone.lid) is account.phone
    with pytest.raises(UnknownNumber):
        world.account(BOB)
    with pytest.raises(UnknownItem):
        world.group("1")


def test_media_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whatsam_simulator.world.world.MAX_MEDIA_BYTES", 100)
    world = World()
    for number in range(5):
        world.store_media(f"t{number}", bytes(40))
    assert list(world.media) == ["t3", "t4"]


def talk(world: World) -> tuple[SignalDevice, SignalDevice]:
    """A contact that has a session with somebody, a group key, and a companion with a waiting message."""
    account = world.ensure_account(ADA)
    world.create_group("friends", account, [world.ensure_account(BOB)], 1_800_000_000)
    companion = account.devices[1] = Device(ADA, account.lid_user, 1, noise_public=b"n" * 32, prekeys={"000001": b"k"})
    world.mailbox(companion).put(element("message", {"id": "waits", "from": account.lid}))
    signal, peer = account.phone.signal, SignalDevice(KeyPair())
    assert signal is not None
    signal.own_sender_key("group").known_to.add("x")
    bundle = Bundle(peer.identity.public, SIGNED_PREKEY, peer.signed_prekey.public)
    assert peer.decrypt("ada", *signal.encrypt("peer", b"before", lambda: bundle)) == b"before"
    return signal, peer


def load(directory: Path, codec: Codec) -> World:
    world = World()
    Storage(directory, codec).load(world)
    return world


def test_an_orderly_end_keeps_everything(tmp_path: Path, codec: Codec) -> None:
    world = World()
    _, peer = talk(world)
    Storage(tmp_path, codec).save_all(world)
    again = load(tmp_path, codec)
    assert again.accounts == world.accounts
    assert again.groups == world.groups
    companion = again.accounts[ADA].devices[1]
    assert [stanza.get("id") for stanza in again.mailbox(companion).waiting()] == ["waits"]
    signal = again.accounts[ADA].phone.signal
    assert signal is not None
    assert peer.decrypt("ada", *signal.encrypt("peer", b"after", fail)) == b"after"


def test_a_crash_keeps_devices_but_no_session_that_may_be_behind(tmp_path: Path, codec: Codec) -> None:
    world = World()
    talk(world)
    storage = Storage(tmp_path, codec)
    storage.save_changed(world)
    again = load(tmp_path, codec)
    assert again.accounts[ADA].devices[1] == world.accounts[ADA].devices[1]
    signal = again.accounts[ADA].phone.signal
    assert signal is not None
    assert signal.identity == world.accounts[ADA].keys
    assert (signal.sessions, signal.own_sender_keys, signal.sender_keys) == ({}, {}, {})


def test_a_clean_end_counts_once(tmp_path: Path, codec: Codec) -> None:
    world = World()
    talk(world)
    Storage(tmp_path, codec).save_all(world)
    load(tmp_path, codec)  # started, and then it crashes
    signal = load(tmp_path, codec).accounts[ADA].phone.signal
    assert signal is not None
    assert signal.sessions == {}


def test_keys_are_made_once_and_must_be_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "root.key"
    assert stored_key(path) == stored_key(path)
    assert path.stat().st_mode & 0o077 == 0
    path.write_text("12ab")
    with pytest.raises(SimulatorError, match="64 hex digits"):
        stored_key(path)


def fail() -> Bundle:
    raise AssertionError("a session exists")
