"""A WhatsApp of one's own for development and tests: servers, phones and contacts in one process.

Clients (neonize, whatsmeow) are sent here by environment only, see `hook_environment`. Production code never imports
this package.
"""

from whatsam_simulator.environment import hook_environment

__all__ = ["hook_environment"]
