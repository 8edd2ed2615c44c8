"""The root of every error that Whatsam raises on purpose.

Each part derives its own tree from it; a caller that catches `WhatsamError` catches what was foreseen and nothing else.
"""


class WhatsamError(Exception):
    """A foreseen failure. Its text says what happened and, where somebody can act, what to do."""
