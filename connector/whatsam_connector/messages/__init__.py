"""Messages in and out: rows in PostgreSQL, the journal of the engine."""
