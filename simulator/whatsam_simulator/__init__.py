"""Whatsam: the simulator part."""
