"""QR codes as pictures. Pure; routes draw them in threads, because it takes longer than the rest of a call."""

from functools import lru_cache
from io import BytesIO

KEPT = 256
"""Drawings kept: a QR code is asked for every second and lives for twenty."""


@lru_cache(maxsize=KEPT)
def png(code: str) -> bytes:
    """The QR code as a PNG picture."""
    # Imported at the first drawing: Pillow is a third of the process's start otherwise.
    import qrcode
    from qrcode.image.pil import PilImage

    target = BytesIO()
    qrcode.make(code, image_factory=PilImage).save(target, format="PNG")
    return target.getvalue()


@lru_cache(maxsize=KEPT)
def svg(code: str) -> bytes:
    """The QR code as an SVG picture."""
    import qrcode
    from qrcode.image.svg import SvgPathImage

    target = BytesIO()
    qrcode.make(code, image_factory=SvgPathImage).save(target)
    return target.getvalue()
