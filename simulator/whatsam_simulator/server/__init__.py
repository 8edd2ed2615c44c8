"""WhatsApp's side of the wire: sockets, pairing, login, queries, message routing."""
