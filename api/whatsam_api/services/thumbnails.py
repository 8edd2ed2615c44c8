"""Pictures in pictures: sizes, small previews, stickers. What is read comes from strangers, so its size is looked at
before it is unpacked. Everything here blocks; `media_intake` calls it in a thread.
"""

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image, ImageOps, UnidentifiedImageError

MOST_PIXELS: Final = 25_000_000
"""Larger pictures are not unpacked: 25 million pixels take 100 MB. JPEGs can be read at a fraction of their size."""
_THUMBNAIL_EDGE: Final = 96
"""Pixels. Shown blurred until the picture is loaded; it travels inside the message."""
_PREVIEW_EDGE: Final = 320
"""Pixels, for link previews, which have no other picture."""
_STICKER_EDGE: Final = 512
_CONVERTED_EDGE: Final = 4096
"""Pixels. WhatsApp's apps make pictures smaller than that."""
_MOST_THUMBNAIL: Final = 40_000
"""Bytes."""
_FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
"""Decoders that may see a stranger's file."""

# What Pillow itself refuses lies above what is checked here.
Image.MAX_IMAGE_PIXELS = MOST_PIXELS * 2


class BadPicture(Exception):
    """The file is no picture that can be read, or too large to be unpacked."""


@dataclass(frozen=True)
class Picture:
    """What a picture's head says."""

    width: int
    height: int
    animated: bool
    thumbnail: str | None
    """A small JPEG in base64; None where the picture is too large to be unpacked."""


def look(path: Path) -> Picture:
    """Size and thumbnail of a picture. Raises `BadPicture`."""
    with _opened(path) as image:
        width, height = image.size
        orientation = image.getexif().get(0x0112, 1)
        if orientation in (5, 6, 7, 8):
            width, height = height, width
        animated = bool(getattr(image, "is_animated", False))
        small = width * height <= MOST_PIXELS or image.format == "JPEG"
        return Picture(width, height, animated, _thumbnail(image, _THUMBNAIL_EDGE) if small else None)


def thumbnail_of(data: bytes, *, preview: bool = False) -> str | None:
    """A small JPEG in base64 of a picture in memory; None when there is none to be made."""
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            if image.size[0] * image.size[1] > MOST_PIXELS:
                return None
            return _thumbnail(image, _PREVIEW_EDGE if preview else _THUMBNAIL_EDGE)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, UnidentifiedImageError):
        return None


def to_jpeg(source: Path, target: Path) -> None:
    """Any picture as a JPEG, its first frame, on white. Raises `BadPicture`."""
    with _opened(source) as image:
        _small_enough(image)
        image.thumbnail((_CONVERTED_EDGE, _CONVERTED_EDGE))
        _flat(ImageOps.exif_transpose(image)).save(target, "JPEG", quality=88)


def to_sticker(source: Path, target: Path) -> None:
    """Any picture as a sticker: WebP, 512 by 512, transparent around it. Raises `BadPicture`."""
    with _opened(source) as image:
        _small_enough(image)
        image.thumbnail((_STICKER_EDGE, _STICKER_EDGE))
        picture = ImageOps.exif_transpose(image).convert("RGBA")
        canvas = Image.new("RGBA", (_STICKER_EDGE, _STICKER_EDGE), (0, 0, 0, 0))
        canvas.paste(picture, ((_STICKER_EDGE - picture.width) // 2, (_STICKER_EDGE - picture.height) // 2))
        canvas.save(target, "WEBP", quality=80, method=4)


class _opened:  # noqa: N801 - reads as a function where it is used
    """Open a picture without unpacking it; every way of being broken is `BadPicture`, also while it is read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._image: Image.Image | None = None

    def __enter__(self) -> Image.Image:
        try:
            self._image = Image.open(self._path, formats=_FORMATS)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise BadPicture("the picture cannot be read") from error
        return self._image

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if self._image is not None:
            self._image.close()
        if isinstance(error, OSError | ValueError | SyntaxError | Image.DecompressionBombError | MemoryError):
            raise BadPicture("the picture cannot be read") from error


def _small_enough(image: Image.Image) -> None:
    if image.size[0] * image.size[1] > MOST_PIXELS:
        raise BadPicture(f"the picture has more than {MOST_PIXELS} pixels")


def _thumbnail(image: Image.Image, edge: int) -> str | None:
    image.thumbnail((edge, edge))  # of a JPEG it unpacks a fraction only
    picture = _flat(ImageOps.exif_transpose(image))
    for quality in (70, 45, 25):
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=quality)
        if out.tell() <= _MOST_THUMBNAIL:
            return base64.b64encode(out.getvalue()).decode()
    return None


def _flat(image: Image.Image) -> Image.Image:
    """Without transparency: on white, as apps show it."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        with_alpha = image.convert("RGBA")
        flat = Image.new("RGB", image.size, (255, 255, 255))
        flat.paste(with_alpha, mask=with_alpha.getchannel("A"))
        return flat
    return image.convert("RGB")
