"""Pictures of accounts and groups: whatever is uploaded becomes the square JPEG that WhatsApp takes. Pure, and slow."""

import threading
from io import BytesIO
from typing import NoReturn

from whatsam_api.errors import InvalidField

SIDE = 640
"""Pixels: what WhatsApp's apps send."""
MOST_PIXELS = 25_000_000
"""More is refused before it is unpacked: four bytes a pixel."""
_AT_A_TIME = threading.BoundedSemaphore(2)
"""Pictures that are unpacked at the same time: each may take 200 MiB."""
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
_QUALITY = 85


def portrait(content: bytes, field: str) -> bytes:
    """The middle of the picture as a JPEG of at most 640 pixels a side. Raises `InvalidField`. Call it in a thread."""
    # Imported at the first picture: Pillow is a third of the process's start otherwise.
    from PIL import Image, ImageOps

    try:
        with _AT_A_TIME, Image.open(BytesIO(content), formats=_FORMATS) as picture:
            width, height = picture.size
            if width * height > MOST_PIXELS:
                return _refuse(field, f"a picture has at most {MOST_PIXELS // 1_000_000} million pixels")
            picture.draft("RGB", (2 * SIDE, 2 * SIDE))  # a JPEG is unpacked no larger than needed
            upright = ImageOps.exif_transpose(picture).convert("RGBA")
            side = min(*upright.size, SIDE)
            square = ImageOps.fit(upright, (side, side))
            paper = Image.new("RGB", square.size, "white")
            paper.paste(square, mask=square.getchannel("A"))
            target = BytesIO()
            paper.save(target, format="JPEG", quality=_QUALITY)
            return target.getvalue()
    except InvalidField:
        raise
    except Exception as error:  # decoders of strangers' files fail in many ways
        raise InvalidField(field, "this is no picture (JPEG, PNG, WebP or GIF)") from error


def _refuse(field: str, message: str) -> NoReturn:
    raise InvalidField(field, message)
