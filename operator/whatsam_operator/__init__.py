"""Whatsam: the operator part."""
