"""HTTP routes: each parses its input, calls one service, and answers in the envelope."""
