"""Phones and contacts: the devices that live in the simulator and read, answer and write messages."""
