"""Real neonize through the simulator's HTTP and SOCKS5 proxies: counted, refused with a wrong password, cut."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from simulator_rig import NeonizeClient

from whatsam_simulator.client import ControlError, SimulatorClient

NewClient = Callable[..., NeonizeClient]
Number = Callable[[], str]


@pytest.mark.parametrize("kind", ["http", "socks5"])
def test_a_client_dials_through_a_proxy(
    kind: str, new_client: NewClient, simulator: SimulatorClient, number: Number
) -> None:
    proxy, phone, contact = simulator.add_proxy(kind, "user", "pass word"), number(), number()
    client = new_client("a", variables={"CLIENT_PROXY": proxy.url}).start()
    simulator.scan(phone, client.wait("QR")["qr"])
    client.wait("Connected")
    simulator.contact(contact)
    sent = client.call("send-document", to=contact, data="00ff")
    seen = simulator.proxy(proxy.port)
    if kind == "http":
        assert set(seen.targets) == {"web.whatsapp.com:443", "mmg.whatsapp.net:443"}
    else:  # the proxy of the client's environment, which neonize dials through the SOCKS proxy
        assert len(seen.targets) == 1
    assert (seen.refused, seen.tunnels) == (0, seen.connections)
    assert simulator.media(contact, sent) == b"\x00\xff"
    assert simulator.cut_proxy(proxy.port) > 0
    client.wait("Connected")
    simulator.remove_proxy(proxy.port)
    client.wait("Disconnected")
    with pytest.raises(ControlError, match="404"):
        simulator.proxy(proxy.port)


@pytest.mark.parametrize("kind", ["http", "socks5"])
def test_a_wrong_password_is_refused(kind: str, new_client: NewClient, simulator: SimulatorClient) -> None:
    proxy = simulator.add_proxy(kind, "user", "right")
    client = new_client("a", variables={"CLIENT_PROXY": proxy.url.replace("right", "wrong")}).start()
    client.wait("raised")
    seen = simulator.proxy(proxy.port)
    assert (seen.refused, seen.tunnels) == (seen.connections, 0)
    simulator.remove_proxy(proxy.port)
