"""Whatsam: the local part."""
