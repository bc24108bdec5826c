"""Media: OpenAI's published examples, sizes read from headers alone, and damage that never raises."""

import base64
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tokens.image_size import image_size
from gateway.tokens.media import (
    UNKNOWN_AUDIO_TOKENS,
    UNKNOWN_IMAGE_TOKENS,
    audio_tokens,
    data_url_tokens,
    file_tokens,
    image_tokens,
    reply_audio_tokens,
)


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def url(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{encoded(data)}"


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height) + bytes(20)


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + bytes(3)


def jpeg(width: int, height: int) -> bytes:
    """With a full EXIF segment, a Huffman table and a fill byte before the frame, which is a progressive one."""
    exif = b"\xff\xe1" + struct.pack(">H", 65_000) + bytes(64_998)
    table = b"\xff\xc4" + struct.pack(">H", 4) + bytes(2)
    frame = b"\xff\xff\xc2" + struct.pack(">HBHH", 17, 8, height, width) + bytes(10)
    return b"\xff\xd8" + exif + table + frame


def webp(layout: bytes, payload: bytes) -> bytes:
    return b"RIFF" + bytes(4) + b"WEBP" + layout + bytes(4) + payload


def webp_lossy(width: int, height: int) -> bytes:
    return webp(b"VP8 ", bytes(3) + b"\x9d\x01\x2a" + struct.pack("<HH", width, height))


def webp_lossless(width: int, height: int) -> bytes:
    return webp(b"VP8L", b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14))


def webp_extended(width: int, height: int) -> bytes:
    return webp(b"VP8X", bytes(4) + struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3])


@pytest.mark.parametrize("make", [png, gif, jpeg, webp_lossy, webp_lossless, webp_extended])
def test_the_size_is_read_from_the_header(make: Any) -> None:
    assert image_size(make(640, 1200)) == (640, 1200)


@pytest.mark.parametrize(
    ("width", "height", "tokens"),
    [
        (1024, 1024, 765),  # the guide's first example
        (2048, 4096, 1105),  # and its second
        (512, 512, 255),
        (513, 512, 425),
        (128, 64, 255),  # small images are not scaled up
        (20_000, 2, 765),
        (768, 2048, 1445),  # the most that one image can cost
    ],
)
def test_images_cost_what_the_guide_says(width: int, height: int, tokens: int) -> None:
    assert image_tokens(url(png(width, height)), "high") == tokens
    assert image_tokens(url(png(height, width))) == tokens


def test_low_detail_costs_85_whatever_the_size() -> None:
    assert image_tokens(url(png(4096, 8192)), "low") == 85
    assert image_tokens("https://example.test/cat.png", "low") == 85


@pytest.mark.parametrize(
    "address",
    [
        "https://example.test/cat.png",
        "data:image/png;base64,",
        "data:image/png;base64,!!!!",
        "data:image/png;base64,iVBORw0KGgo",
        "data:image/svg+xml,<svg/>",
        url(png(0, 10)),
        url(jpeg(640, 480)[:-14]),
        url(b"\xff\xd8"),
        "data:image/png;base64,\u00e9\u00e9\u00e9\u00e9",
        None,
        3,
        "",
    ],
)
def test_an_image_of_unknown_size_costs_the_default(address: Any) -> None:
    assert image_tokens(address) == UNKNOWN_IMAGE_TOKENS


@given(st.binary(max_size=80))
def test_damaged_images_never_raise(noise: bytes) -> None:
    for start in (b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\xff\xd8\xff", b"RIFF0000WEBPVP8 ", b"RIFF0000WEBPVP8X", b""):
        size = image_size(start + noise)
        assert size is None or min(size) > 0


def wav(seconds: float, *, rate: int = 16_000, before: bytes = b"", claimed: int | None = None) -> bytes:
    layout = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, claimed if claimed is not None else rate * 2, 2, 16)
    sound = bytes(int(seconds * rate * 2))
    return b"RIFF" + bytes(4) + b"WAVE" + before + layout + b"data" + bytes(4) + sound


def test_a_wav_costs_ten_tokens_a_second() -> None:
    assert audio_tokens(encoded(wav(6.0))) == pytest.approx(60, abs=1)
    assert audio_tokens(encoded(wav(6.0, rate=48_000))) == pytest.approx(60, abs=1)
    assert audio_tokens(encoded(wav(6.0, before=b"JUNK" + bytes(32)))) == pytest.approx(60, abs=1)


def test_a_wav_whose_header_makes_no_sense_is_taken_for_24_khz() -> None:
    assert audio_tokens(encoded(wav(6.0, rate=24_000, claimed=1))) == pytest.approx(60, abs=1)
    assert audio_tokens(encoded(b"RIFF0000WAVE" + bytes(48_000))) == pytest.approx(10, abs=1)


def test_other_audio_is_taken_for_mp3_of_64_kbit() -> None:
    assert audio_tokens(encoded(b"ID3" + bytes(80_000))) == pytest.approx(100, abs=1)
    assert audio_tokens(encoded(bytes(80_000))) == pytest.approx(100, abs=1)


def test_a_models_audio_costs_twice_as_much_and_may_be_raw() -> None:
    assert reply_audio_tokens(encoded(bytes(480_000))) == 200
    assert reply_audio_tokens(encoded(b"\xff\xfb" + bytes(80_000))) == pytest.approx(200, abs=1)
    assert reply_audio_tokens(encoded(wav(6.0))) == pytest.approx(120, abs=1)


@pytest.mark.parametrize("data", [None, 3, ""])
def test_audio_that_is_not_there_costs_the_default(data: Any) -> None:
    assert audio_tokens(data) == reply_audio_tokens(data) == UNKNOWN_AUDIO_TOKENS


def test_damaged_audio_costs_by_its_length() -> None:
    assert audio_tokens("!" * 32_000) == 30


def test_files_cost_by_the_page_and_texts_by_their_length() -> None:
    assert file_tokens({"file_id": "file-1"}) == 1300
    assert file_tokens({"file_data": url(bytes(120_000), "application/pdf")}) == 3 * 1300
    assert file_tokens({"file_data": encoded(bytes(120_000))}) == 3 * 1300
    assert file_tokens({"file_data": url(bytes(1_200), "text/plain")}) == 300
    assert file_tokens({"file_data": 3}) == 1300


def test_a_data_url_costs_what_it_holds() -> None:
    assert data_url_tokens(url(png(1024, 1024))) == 765
    assert data_url_tokens(url(wav(6.0), "audio/wav")) == pytest.approx(60, abs=1)
    assert data_url_tokens(url(bytes(1_000), "application/pdf")) == 1300
