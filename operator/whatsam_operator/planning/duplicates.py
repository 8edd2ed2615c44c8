"""Two sessions with the same device would throw each other out of WhatsApp. Which one may run? Called once per plan."""

from collections.abc import Iterable

from whatsam_core.resources import WhatsAppSession


def younger_duplicates(sessions: Iterable[WhatsAppSession]) -> dict[str, WhatsAppSession]:
    """For each session (by UID) that must not run: the elder one with the same device, which may.

    A session that is being deleted does not count as a rival, but may itself be the younger one: then it is not
    started again to log out the device that the elder uses.
    """
    first: dict[str, WhatsAppSession] = {}
    shared: dict[str, list[WhatsAppSession]] = {}
    for session in sessions:
        jid = session.status.jid
        if jid and (known := first.setdefault(jid, session)) is not session:
            shared.setdefault(jid, [known]).append(session)
    younger: dict[str, WhatsAppSession] = {}
    for rivals in shared.values():
        elder = min((one for one in rivals if not one.metadata.deleting), key=_age, default=None)
        if elder is not None:
            younger |= {one.metadata.uid: elder for one in rivals if one is not elder}
    return younger


def _age(session: WhatsAppSession) -> tuple[bool, str, str]:
    created = session.metadata.creation_timestamp
    return (created is None, created.isoformat() if created is not None else "", session.metadata.uid)
