"""Two sessions with the same device would throw each other out of WhatsApp. Which one may run? Called once per plan."""

from collections.abc import Iterable

from whatsam_core.resources import WhatsAppSession


def younger_duplicates(sessions: Iterable[WhatsAppSession]) -> dict[str, WhatsAppSession]:
    """For each session (by UID) that must not run: the elder one with the same device, which may.

    A session that is being deleted does not count as a rival, but may itself be the younger one: then it is not
    started again to log out the device that the elder uses.
    """
    elder: dict[str, WhatsAppSession] = {}
    everyone = [session for session in sessions if session.status.jid]
    for session in everyone:
        jid = session.status.jid
        if jid is None or session.metadata.deleting:
            continue
        rival = elder.get(jid)
        if rival is None or _age(session) < _age(rival):
            elder[jid] = session
    return {
        session.metadata.uid: first
        for session in everyone
        if session.status.jid is not None
        and (first := elder.get(session.status.jid)) is not None
        and first.metadata.uid != session.metadata.uid
    }


def _age(session: WhatsAppSession) -> tuple[bool, str, str]:
    created = session.metadata.creation_timestamp
    return (created is None, created.isoformat() if created is not None else "", session.metadata.uid)
