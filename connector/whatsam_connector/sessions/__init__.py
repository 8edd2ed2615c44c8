"""The life of one session, from its assignment to its handover."""
