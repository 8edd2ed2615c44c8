"""No bad input ends the simulator: its connection is closed or the request gets 4xx, and everybody else goes on."""

from __future__ import annotations

import asyncio
import os
import random
from contextlib import suppress

import aiohttp
import pytest
from simulator_raw_client import PROLOGUE, framed
from simulator_running import Running

from whatsam_simulator.contacts.compose import compose_text
from whatsam_simulator.crypto.device_identity import DEVICE_PROOF
from whatsam_simulator.crypto.keys import KeyPair
from whatsam_simulator.crypto.signal_device import pad
from whatsam_simulator.journal.records import ViolationKind
from whatsam_simulator.server.prekeys import bundle
from whatsam_simulator.wire.jid import PHONE_SERVER, SERVER, Jid
from whatsam_simulator.wire.node import Node, element
from whatsam_simulator.wire.protobuf import encode

NUMBER, CONTACT = "4915170000001", "4915170000002"
GARBAGE_HEADS = [
    b"\0" * 100 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"CONNECT\r\n\r\n",
    b"CONNECT x SMTP/9\r\n\r\n",
    b"\xff\xfe\r\n\r\n",
    b"A" * 40_000,
    b"CONNECT h:443 HTTP/1.1\r\n\r\n" + b"no TLS at all" * 20,
]


def kinds(running: Running) -> list[ViolationKind]:
    return [violation.kind for violation in running.simulation.context.journal.violations]


async def raw(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    answer = b""
    with suppress(ConnectionError):
        await writer.drain()
        async with asyncio.timeout(10):
            answer = await reader.read()
    writer.close()
    return answer


async def test_garbage_in_place_of_tls_closes_the_tunnel(running: Running) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", running.ports.proxy)
    writer.write(b"CONNECT web.whatsapp.com:443 HTTP/1.1\r\n\r\n")
    assert (await reader.readuntil(b"\r\n\r\n")).split()[1] == b"200"
    writer.write(b"no TLS at all" * 20)
    with suppress(ConnectionError):
        async with asyncio.timeout(10):
            await reader.read()
    writer.close()
    assert (await running.client().open_unpaired()) != []


@pytest.mark.parametrize("head", GARBAGE_HEADS)
async def test_the_proxy_survives_garbage(running: Running, head: bytes) -> None:
    answer = await raw(running.ports.proxy, head)
    assert answer == b"" or answer.split()[1] in (b"200", b"400", b"405", b"431")
    assert (await running.client().open_unpaired()) != []


async def test_the_site_survives_garbage(running: Running) -> None:
    client = running.client()
    async with aiohttp.ClientSession() as session:
        for path in ("/", "/ws/chat", "/v/t62.7118-24/none", "/mms/image/x/y/z"):
            async with session.get(f"https://localhost:{running.ports.tls}{path}", ssl=client.tls) as response:
                assert 400 <= response.status < 500
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", running.ports.tls, ssl=client.tls, server_hostname="localhost"
    )
    writer.write(b"\x16\x03 nonsense \r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.")
    writer.close()
    assert (await client.open_unpaired()) != []


@pytest.mark.parametrize(
    "start", [b"", b"XX\x06\x03", PROLOGUE, PROLOGUE + framed(b""), PROLOGUE + framed(b"\xff" * 50)]
)
async def test_garbage_in_the_handshake_closes_that_connection_only(running: Running, start: bytes) -> None:
    client, random_source = running.client(), random.Random(4)  # noqa: S311  the same garbage each time
    async with aiohttp.ClientSession() as session:
        socket = await session.ws_connect("https://web.whatsapp.com/ws/chat", proxy=client.proxy, ssl=client.tls)
        if start:
            await socket.send_bytes(start)
        await socket.send_bytes(framed(random_source.randbytes(100)))
        await socket.send_bytes(framed(random_source.randbytes(100)))
        async with asyncio.timeout(10):
            while (await socket.receive()).type is aiohttp.WSMsgType.BINARY:
                pass
    assert (await client.open_unpaired()) != []


async def test_garbage_frames_close_that_connection_only(running: Running) -> None:
    client, other = await running.paired(NUMBER), await running.paired(CONTACT)
    await client.send_frame(os.urandom(60))
    assert await client.closed()
    assert ViolationKind.BAD_MAC in kinds(running)
    await client.close()
    await client.login()
    await client.send_frame(client.transport.seal(b"\0\xf8\xff\xff"))
    assert await client.closed()
    assert ViolationKind.MALFORMED in kinds(running)
    answer = await other.ask(element("iq", {"to": SERVER, "xmlns": "w:p", "type": "get", "id": "alive"}))
    assert answer.get("type") == "result"


def random_stanza(source: random.Random) -> Node:
    """Tags and attributes that handlers know, in combinations that they do not expect."""
    tags = [
        "iq",
        "message",
        "receipt",
        "ack",
        "presence",
        "chatstate",
        "ib",
        "usync",
        "list",
        "key",
        "enc",
        "to",
        "user",
    ]
    tags += ["participants", "sync", "create", "count", "query", "retry", "keys", "skey", "add", "leave", "active"]
    names = ["to", "id", "type", "xmlns", "class", "jid", "participant", "from", "name", "version", "count"]
    values: list[str | Jid | None] = [
        "set",
        "get",
        "result",
        "retry",
        "msg",
        "pkmsg",
        "skmsg",
        "",
        "-1",
        "99999999999999",
    ]
    values += [
        "encrypt",
        "passive",
        "usync",
        "w:g2",
        "w:sync:app:state",
        "privacy",
        "md",
        "w:m",
        "message",
        "subscribe",
    ]
    values += [Jid(CONTACT, PHONE_SERVER), Jid("", "g.us"), Jid("1", "g.us"), SERVER, Jid("x", "lid", 3)]

    def build(depth: int) -> Node:
        attrs = {name: source.choice(values) for name in source.sample(names, source.randint(0, 5))}
        content: bytes | list[Node] | None = source.choice([None, source.randbytes(source.randint(0, 40))])
        if depth and source.random() < 0.7:
            content = [build(depth - 1) for _ in range(source.randint(1, 3))]
        return element(source.choice(tags if depth < 3 else tags[:6]), attrs, content)

    return build(3)


async def test_strange_stanzas_never_raise_out_of_the_connection(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    running.simulation.context.world.ensure_account(CONTACT)
    client, source = await running.paired(NUMBER), random.Random(7)  # noqa: S311  as above
    for _ in range(150):
        with suppress(ConnectionError, aiohttp.ClientError):
            await client.send(random_stanza(source))
            await client.send(element("iq", {"to": SERVER, "xmlns": "w:p", "type": "get", "id": "alive"}))
            while (await client.receive()).get("id") != "alive":
                pass
            continue
        await client.close()
        if (await client.login()).tag != "success":  # it has logged itself out by chance
            client = await running.paired(NUMBER)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_signed_prekey_must_be_signed_by_the_identity(running: Running) -> None:
    client = await running.paired(NUMBER)
    await client.send(client.upload(signature=KeyPair().sign(b"something else")))
    assert await client.closed()
    assert kinds(running) == [ViolationKind.BAD_SIGNATURE]


async def test_a_pairing_must_be_signed_by_the_device(running: Running) -> None:
    client = running.client()
    references = await client.open_unpaired()
    running.simulation.pairing.scan(NUMBER, client.qr(references[0]))
    await client.confirm(good=False)
    assert await client.closed()
    assert kinds(running) == [ViolationKind.BAD_SIGNATURE]
    assert running.simulation.context.world.account(NUMBER).companions == []


def message(contact: Jid, encrypted_as: tuple[str, bytes], message_id: str, identity: bytes) -> Node:
    kind, data = encrypted_as
    encrypted = element("to", {"jid": contact}, [element("enc", {"v": 2, "type": kind}, data)])
    content = [element("participants", {}, [encrypted]), element("device-identity", {}, identity)]
    return element("message", {"to": contact, "id": message_id, "type": "text"}, content)


async def test_a_contact_refuses_used_keys_wrong_macs_and_foreign_identities(running: Running) -> None:
    simulation, client = running.simulation, await running.paired(NUMBER)
    context = simulation.context
    contact = context.world.ensure_account(CONTACT)
    session = client.signal

    async def send(message_id: str, text: str, *, damage: bool = False, identity: bytes = b"") -> tuple[str, bytes]:
        plain = compose_text(text)
        kind, data = session.encrypt("contact", plain, lambda: bundle(context, contact.phone))
        if damage:
            data = data[:-1] + bytes([data[-1] ^ 1])
        await client.send(message(contact.lid, (kind, data), message_id, identity or client.identity))
        await client.ask(element("iq", {"to": SERVER, "xmlns": "w:p", "type": "get", "id": f"after {message_id}"}))
        return kind, data

    def texts() -> list[str | None]:
        return [m.text for m in simulation.receiving.inbox(CONTACT).messages if m.readable]

    kind, data = await send("M1", "first")
    assert texts() == ["first"]
    await client.send(message(contact.lid, (kind, data), "M1", client.identity))
    await send("M2", "second")
    assert texts() == ["first", "second"]
    assert kinds(running) == []
    await send("M3", "damaged", damage=True)
    assert kinds(running) == [ViolationKind.BAD_MAC]
    session.sessions.clear()
    forged = client.identity.replace(encode((DEVICE_PROOF, b""))[:1], b"\x22", 1)
    forged = forged[:-70] + bytes([forged[-70] ^ 1]) + forged[-69:]
    await send("M4", "forged", identity=forged)
    assert texts() == ["first", "second"]
    assert kinds(running)[-1] is ViolationKind.BAD_SIGNATURE


async def test_a_counter_used_for_two_texts_is_a_violation(running: Running) -> None:
    simulation, client = running.simulation, await running.paired(NUMBER)
    contact = simulation.context.world.ensure_account(CONTACT)
    session = client.signal
    session.start_session("contact", bundle(simulation.context, contact.phone))
    state = session.sessions["contact"][0]
    before = state.sending_key
    for message_id, text in (("M1", b"one"), ("M2", b"two")):
        state.sending_key, state.sending_counter = before, 0
        encrypted = state.encrypt(pad(compose_text(text.decode())))
        await client.send(message(contact.lid, encrypted, message_id, client.identity))
    await client.ask(element("iq", {"to": SERVER, "xmlns": "w:p", "type": "get", "id": "after"}))
    assert [use.reused for use in simulation.context.journal.counters if use.sender == f"{NUMBER}:1"] == [False, True]
    assert kinds(running) == [ViolationKind.COUNTER_REUSED]
    assert [m.text for m in simulation.receiving.inbox(CONTACT).messages] == ["one"]


async def test_login_needs_the_noise_key_of_the_pairing(running: Running) -> None:
    client = await running.paired(NUMBER)
    await client.close()
    client.noise = KeyPair()
    assert (await client.login()).get("reason") == "401"
    assert await client.closed()
