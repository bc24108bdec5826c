"""Counting: messages and calls to numbers of tokens, with tiktoken.

Counting is done on the event loop where it is quick, and in a thread where a long text or an encoding not yet loaded
would hold it up; tiktoken lets go of the GIL while it encodes.
"""

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from gateway.tokens.definitions import call_pieces
from gateway.tokens.encodings import get_encoding
from gateway.tokens.pieces import Pieces, is_plain, message_pieces

_ON_LOOP = 32 * 1024
"""Characters that are counted on the event loop: 5 ms at worst, a tenth of that for prose."""

_SLICE = 16 * 1024
"""Characters given to tiktoken at once. Its splitting backtracks: a run of blanks of a million characters ends in a
Rust panic, and older releases take time that grows with the square of a word's length."""

_WORD_GAP = re.compile(r"\S(?= \S)")
"""The end of a word before a single blank. No encoding has a token across it, so a cut here changes no count."""
_GAP_SEARCH = 256

_ROLES = ("user", "assistant", "system", "developer")
"""Words that message after message repeats: each is encoded once."""


class Encoder(Protocol):
    """What is needed of a tiktoken.Encoding."""

    def encode_ordinary(self, text: str) -> Sequence[int]: ...


class TokenCounter:
    """Counts tokens. Encodings are loaded when first used, by `load`, and kept. May be used from any thread."""

    def __init__(self, load: Callable[[str], Encoder] = get_encoding) -> None:
        self._load = load
        self._encoders: dict[str, Encoder] = {}
        self._roles: dict[str, dict[str, int]] = {}

    def text(self, text: str, encoding: str) -> int:
        """Tokens of a text, in which the spelling of a special token is a text like any other.

        Exact up to 16,384 characters. A longer text is cut between words; in a run of more than 256 characters without
        a gap a cut falls where it may and adds a token or two, less than one in a thousand.
        """
        encode = self._encoder(encoding).encode_ordinary
        if len(text) <= _SLICE:
            return len(encode(text))
        return sum([len(encode(part)) for part in _slices(text)])

    def message(self, message: Mapping[str, Any], encoding: str) -> int:
        """Tokens of one chat message in its wire form; see `message_pieces` for the formula. Never raises."""
        return self._count(message_pieces(message), encoding)

    def call(self, params: Mapping[str, Any], encoding: str) -> int:
        """Tokens of a call beside its messages; see `call_pieces` for the formula. `params` is the request's body."""
        return self._count(call_pieces(params, encoding), encoding)

    async def messages(self, messages: Sequence[Mapping[str, Any]], encoding: str) -> list[int]:
        """`message` for each, off the event loop if they are long together."""
        if len(messages) == 1 and (tokens := self._plain(messages[0], encoding)) is not None:
            return [tokens]
        return await self._count_all([message_pieces(message) for message in messages], encoding)

    async def call_async(self, params: Mapping[str, Any], encoding: str) -> int:
        """`call`, off the event loop if the definitions are long."""
        [tokens] = await self._count_all([call_pieces(params, encoding)], encoding)
        return tokens

    def _plain(self, message: Mapping[str, Any], encoding: str) -> int | None:
        """`message` for a short text with a role, as most are, without taking it apart; None for any other.

        None, too, while the encoding is not loaded.
        """
        role, text, roles = message.get("role"), message.get("content"), self._roles.get(encoding)
        if not isinstance(role, str) or not isinstance(text, str) or roles is None or role not in roles:
            return None
        if len(text) > _SLICE or not is_plain(message):
            return None
        return roles[role] + len(self._encoders[encoding].encode_ordinary(text))

    async def _count_all(self, dissected: Sequence[Pieces], encoding: str) -> list[int]:
        if encoding in self._encoders and sum([pieces.size for pieces in dissected]) <= _ON_LOOP:
            return self._counts(dissected, encoding)
        return await asyncio.to_thread(self._counts, dissected, encoding)

    def _counts(self, dissected: Sequence[Pieces], encoding: str) -> list[int]:
        return [self._count(pieces, encoding) for pieces in dissected]

    def _count(self, pieces: Pieces, encoding: str) -> int:
        return pieces.fixed + sum([self.text(text, encoding) for text in pieces.texts])

    def _encoder(self, encoding: str) -> Encoder:
        if encoding not in self._encoders:
            self._encoders[encoding] = self._load(encoding)
            self._roles[encoding] = {role: self._count(message_pieces({"role": role}), encoding) for role in _ROLES}
        return self._encoders[encoding]


def _slices(text: str) -> Iterator[str]:
    start = 0
    while len(text) - start > _SLICE:
        end = start + _SLICE
        gaps = [gap.end() for gap in _WORD_GAP.finditer(text, end - _GAP_SEARCH, end)]
        cut = gaps[-1] if gaps else end
        yield text[start:cut]
        start = cut
    yield text[start:]
