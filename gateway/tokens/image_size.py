"""Width and height of an image from the first bytes of its file: PNG, GIF, WebP and JPEG."""

import struct

_Size = tuple[int, int]

# Start-of-frame markers; C4, C8 and CC in that range are something else.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def image_size(head: bytes) -> _Size | None:
    """(width, height) in pixels, or None if `head` is no such image, is damaged, or ends too early."""
    try:
        size = _read(head)
    except (struct.error, IndexError):
        return None
    return size if size and min(size) > 0 else None


def _read(head: bytes) -> _Size | None:
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return _pair(">II", head, 16)
    if head.startswith((b"GIF87a", b"GIF89a")):
        return _pair("<HH", head, 6)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return _webp(head)
    return _jpeg(head) if head.startswith(b"\xff\xd8") else None


def _webp(head: bytes) -> _Size | None:
    """The three layouts of RFC 9649: lossy, lossless and extended."""
    match head[12:16]:
        case b"VP8 ":
            width, height = _pair("<HH", head, 26)
            return width & 0x3FFF, height & 0x3FFF
        case b"VP8L":
            (bits,) = struct.unpack_from("<I", head, 21)
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X" if len(head) >= 30:
            return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
        case _:
            return None


def _jpeg(head: bytes) -> _Size | None:
    """Walk from segment to segment up to the start of a frame."""
    at = 2
    while head[at] == 0xFF:
        marker = head[at + 1]
        if marker in _JPEG_FRAMES:
            height, width = _pair(">HH", head, at + 5)
            return width, height
        if marker == 0xFF:  # padding
            at += 1
        else:
            (length,) = struct.unpack_from(">H", head, at + 2)
            at += 2 + length
    return None


def _pair(layout: str, head: bytes, offset: int) -> _Size:
    first, second = struct.unpack_from(layout, head, offset)
    return first, second
