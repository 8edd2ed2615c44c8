"""Whether the owner of a session wants to see what its engine does. Read by the runner."""

from whatsam_core.resources.session import WhatsAppSession

ANNOTATION = "whatsam.io/debug"
"""On a session: "true" lets its engine run alone and log what whatsmeow sends and receives, redacted."""


def wants_debug(session: WhatsAppSession) -> bool:
    """Whether the annotation says so."""
    return session.metadata.annotations.get(ANNOTATION) == "true"
