"""Tokens of images, audio and files, from the little that their first bytes tell.

Nothing here decodes more than a bounded prefix, and nothing raises: data that makes no sense costs the default.

Images by OpenAI's guide "Images and vision", section "Calculating costs" (the tile formula of the GPT-4o family);
audio by its guide "Managing costs" of the Realtime API: one token for 100 ms of a user's audio, for 50 ms of a model's.
"""

import binascii
from collections.abc import Mapping
from math import ceil
from typing import Any

from gateway.tokens.image_size import image_size

_BASE_TOKENS, _TILE_TOKENS = 85, 170
_TILE, _BOX, _SHORT_SIDE = 512, 2048, 768

UNKNOWN_IMAGE_TOKENS = 1105
"""An image whose size cannot be seen (a remote URL, an unknown format): the larger of the guide's two examples."""

_USER_AUDIO_RATE = 10
_MODEL_AUDIO_RATE = 20
_MP3_BYTES_A_SECOND = 8_000
"""64 kbit/s, common for speech. Its frames would tell, but rates vary within a file; a low guess errs upwards."""
_PCM_BYTES_A_SECOND = 48_000
"""Raw PCM16 as models stream it: 24 kHz, 16 bits, mono."""
_SLOWEST_WAV = 1_000
"""Bytes a second; a header that claims less is taken for damaged."""
UNKNOWN_AUDIO_TOKENS = 300
"""Audio that is only referred to: half a minute of a user's."""

_PAGE_BYTES, _PAGE_TOKENS = 50_000, 1_300
"""OpenAI puts a PDF's text and an image of each page into the prompt and publishes no formula: 50 kB are taken for a
page, and a page for an image of 765 tokens and 400 words."""

_IMAGE_PREFIX = 256 * 1024
"""Characters of base64 to look at: a JPEG's size comes after its EXIF and colour profile."""
_AUDIO_PREFIX = 4096


def image_tokens(url: object, detail: object = None) -> int:
    """Tokens of an image by its URL. `detail: low` costs 85; high, auto and unsaid are taken for high."""
    if detail == "low":
        return _BASE_TOKENS
    size = image_size(_decode(_payload(url), _IMAGE_PREFIX))
    return UNKNOWN_IMAGE_TOKENS if size is None else _tile_tokens(*size)


def audio_tokens(data: object) -> int:
    """Tokens of audio that a user sent: `data` is the base64 of a WAV or MP3 file."""
    return _audio_tokens(data, _USER_AUDIO_RATE, _MP3_BYTES_A_SECOND)


def reply_audio_tokens(data: object) -> int:
    """Tokens of audio that a model answered with: base64 in any of OpenAI's output formats."""
    return _audio_tokens(data, _MODEL_AUDIO_RATE, _PCM_BYTES_A_SECOND)


def file_tokens(file: Mapping[str, Any]) -> int:
    """Tokens of a `file` content part: a text's by its length, anything else by the page; known by id: one page."""
    data = file.get("file_data")
    if not isinstance(data, str) or not data:
        return _PAGE_TOKENS
    size = _decoded_size(_payload(data) or data)
    return ceil(size / 4) if data.startswith("data:text/") else ceil(size / _PAGE_BYTES) * _PAGE_TOKENS


def is_data_url(text: str) -> bool:
    return text.startswith("data:") and ";base64," in text[:256]


def data_url_tokens(url: str) -> int:
    """Tokens of whatever a data: URL holds."""
    if url.startswith("data:image/"):
        return image_tokens(url)
    if url.startswith("data:audio/"):
        return audio_tokens(_payload(url))
    return file_tokens({"file_data": url})


def _tile_tokens(width: int, height: int) -> int:
    """Fit into 2048 x 2048, bring the shortest side down to 768 (never up), and count tiles of 512 x 512."""
    scale = min(1.0, _BOX / max(width, height))
    scale *= min(1.0, _SHORT_SIDE / (min(width, height) * scale))
    tiles = ceil(round(width * scale, 3) / _TILE) * ceil(round(height * scale, 3) / _TILE)
    return _BASE_TOKENS + _TILE_TOKENS * tiles


def _audio_tokens(data: object, tokens_a_second: int, headerless_rate: int) -> int:
    if not isinstance(data, str) or not data:
        return UNKNOWN_AUDIO_TOKENS
    rate = _bytes_a_second(_decode(data, _AUDIO_PREFIX), headerless_rate)
    return max(1, ceil(_decoded_size(data) / rate * tokens_a_second))


def _bytes_a_second(head: bytes, headerless_rate: int) -> int:
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return _wav_rate(head) or _PCM_BYTES_A_SECOND
    compressed = head[:4] in (b"OggS", b"fLaC") or head[:3] == b"ID3" or (head[:1] == b"\xff" and head[1:2] >= b"\xe0")
    return _MP3_BYTES_A_SECOND if compressed else headerless_rate


def _wav_rate(head: bytes) -> int | None:
    """The byte rate that the `fmt ` chunk names; other chunks may come before it."""
    start = head.find(b"fmt ", 12)
    if start < 0 or len(head) < start + 20:
        return None
    rate = int.from_bytes(head[start + 16 : start + 20], "little")
    return rate if rate >= _SLOWEST_WAV else None


def _payload(url: object) -> str:
    """The base64 of a data: URL; an empty string for anything else."""
    if not isinstance(url, str) or not is_data_url(url):
        return ""
    return url[url.index(",") + 1 :]


def _decode(data: str, limit: int) -> bytes:
    """The bytes of at most `limit` characters of base64 (a multiple of 4); none if they are damaged."""
    try:
        return binascii.a2b_base64(data[:limit])
    except ValueError:
        return b""


def _decoded_size(data: str) -> int:
    return max(0, len(data) * 3 // 4 - data[-2:].count("="))
