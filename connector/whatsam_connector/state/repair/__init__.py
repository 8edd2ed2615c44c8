"""Repair of a session state that may be behind what was sent (the account's own counters went back in time)."""
