"""Whatsam: the core part."""
