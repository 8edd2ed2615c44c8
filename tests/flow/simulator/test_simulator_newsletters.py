"""Newsletters as a real neonize client follows, reads and owns them."""

from __future__ import annotations

from collections.abc import Callable

from simulator_rig import NeonizeClient

from whatsam_simulator.client import SimulatorClient

Paired = Callable[[str], tuple[NeonizeClient, str]]
NEWSLETTER = "jid(newsletter, 'newsletter')"


def test_a_client_follows_and_reads(paired: Paired, simulator: SimulatorClient, number: Callable[[], str]) -> None:
    client, phone = paired("a")
    owner = number()
    simulator.contact(owner)
    made = simulator.create_newsletter(owner, "News", "of the day")
    found = client.do("client.get_newsletter_info_with_invite(key)", key=made.invite)
    assert found["ThreadMeta"]["Name"]["Text"] == "News"
    client.do(f"client.follow_newsletter({NEWSLETTER})", newsletter=made.id)
    sent = simulator.post_to_newsletter(made.id, "first post")
    event = client.wait("Message", id=sent, text="first post")
    assert event["chat"] == made.jid
    subscribed = client.do("[MessageToDict(one) for one in client.get_subscribed_newletters()]")
    assert [one["ThreadMeta"]["Description"]["Text"] for one in subscribed] == ["of the day"]
    client.do(f"client.newsletter_toggle_mute({NEWSLETTER}, True)", newsletter=made.id)
    react = f"client.newsletter_send_reaction({NEWSLETTER}, 100, '👍', '3EB0REACT')"
    client.do(react, newsletter=made.id)
    (seen,) = [each for each in simulator.newsletters() if each.id == made.id]
    assert (seen.followers, seen.muted) == (sorted([owner, phone]), [phone])
    assert seen.reactions == {100: {phone: "👍"}}
    client.do(f"client.unfollow_newsletter({NEWSLETTER})", newsletter=made.id)
    (seen,) = [each for each in simulator.newsletters() if each.id == made.id]
    assert seen.followers == [owner]
