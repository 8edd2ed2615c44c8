"""Whatsam: the connector part."""
