"""What the operator decides: pure functions over a snapshot; no I/O, no clock, no randomness, no logging."""
