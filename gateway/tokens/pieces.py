"""A message taken apart into what costs tokens: texts to be encoded, and the rest, whose tokens are known at once.

Nothing is free: a field that no formula knows is counted as text, however deep it lies. The one exception is the `type`
of a part, which names its shape.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.tokens import media

_PER_MESSAGE = 3
_PER_NAME = 1
_PER_TOOL_CALL = 8
"""The markers around a call and its recipient, "functions.": OpenAI does not publish them, so this is an estimate."""

_TEXT_FIELDS = frozenset({"content", "text"})
"""Where a person's words are: they may well begin with "data:" and still are words."""

_PLAIN_FIELDS = frozenset({"role", "content"})
_NOTHING: tuple[object, ...] = (None, [])
"""What providers put into fields of a reply that it does not need."""


@dataclass(slots=True)
class Pieces:
    """Tokens that need no encoding, and texts that do. Texts are encoded one by one, never joined."""

    fixed: int = 0
    texts: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Characters to encode."""
        return sum(map(len, self.texts))


def message_pieces(message: Mapping[str, Any]) -> Pieces:
    """Take a message apart after the OpenAI cookbook's "How to count tokens with tiktoken".

    3 tokens a message, and every field's value as text (`role` too), with 1 more for `name`. The cookbook stops there;
    media cost what their formulas say, and each tool call 8 tokens beside its texts.
    """
    pieces = Pieces(fixed=_PER_MESSAGE + (_PER_NAME if message.get("name") else 0))
    # A stack and not recursion: the depth of a client's JSON is the client's choice.
    pending = list(message.items())
    while pending:
        key, value = pending.pop()
        if isinstance(value, str):
            _add_string(pieces, key, value)
        elif isinstance(value, Mapping) and not _add_media(pieces, key, value):
            pending.extend((name, item) for name, item in value.items() if name != "type")
            pieces.fixed += _PER_TOOL_CALL if key in ("tool_calls", "function_call") else 0
        elif isinstance(value, list):
            pending.extend((key, item) for item in value)
    return pieces


def is_plain(message: Mapping[str, Any]) -> bool:
    """True if a message whose `role` and `content` are texts has nothing else that costs tokens."""
    if len(message) == 2:
        return True
    return not [name for name, value in message.items() if value not in _NOTHING and name not in _PLAIN_FIELDS]


def _add_string(pieces: Pieces, key: str, value: str) -> None:
    if key == "image_url":
        pieces.fixed += media.image_tokens(value)
    elif key not in _TEXT_FIELDS and media.is_data_url(value):
        pieces.fixed += media.data_url_tokens(value)
    else:
        pieces.texts.append(value)


def _add_media(pieces: Pieces, key: str, value: Mapping[str, Any]) -> bool:
    """Count `value` by a formula; False if there is none for `key`."""
    match key:
        case "image_url":
            pieces.fixed += media.image_tokens(value.get("url"), value.get("detail"))
        case "input_audio":
            pieces.fixed += media.audio_tokens(value.get("data"))
        case "file":
            pieces.fixed += media.file_tokens(value)
            _add_text(pieces, value.get("filename"))
        case "audio":
            pieces.fixed += media.reply_audio_tokens(value.get("data"))
            _add_text(pieces, value.get("transcript"))
        case _:
            return False
    return True


def _add_text(pieces: Pieces, text: object) -> None:
    if isinstance(text, str):
        pieces.texts.append(text)
