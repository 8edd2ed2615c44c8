"""The engine: a child process that runs WhatsApp sessions and may be killed at any time.

`wire`, `protocol` and `events` are shared with the supervisor and import nothing heavy; everything that imports neonize
lies in `engine/neonize_adapter/` and is loaded in the child only.
"""
