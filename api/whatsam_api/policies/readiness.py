"""Whether a session could do anything for its owner as things are, and what to do first. Pure."""

from whatsam_core.resources import DesiredState, WhatsAppSession


def hopeless(session: WhatsAppSession) -> str | None:
    """Why the session will not do it until somebody acts; None when it may."""
    if session.metadata.deleting:
        return "the session is being deleted"
    if session.spec.desired_state is DesiredState.STOPPED:
        return "the session is stopped; connect it first"
    if session.status.jid is None:
        return "no phone is paired yet; scan the QR code first"
    return None
