"""What is inside a message: WhatsApp's protobuf, written and read in the supervisor without the engine's library."""
