"""Whatsam: the api part."""
