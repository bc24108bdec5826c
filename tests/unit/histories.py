"""Messages of a history, for the tests of what is done with them."""

from typing import Any

import orjson

from gateway.history.exchanges import Remembered


def call(call_id: str) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": "f", "arguments": "{}"}}


def sent(message: Remembered | None) -> Any:
    assert message is not None
    return orjson.loads(message.body)


def user(seq: int) -> Remembered:
    return Remembered(seq, "user", b'{"role":"user","content":"Hi"}', 10, "o200k_base")


def asks(*ids: str, content: str | None = None, **fields: Any) -> Remembered:
    body = orjson.dumps({"role": "assistant", "content": content, "tool_calls": [call(name) for name in ids], **fields})
    return Remembered(0, "assistant", body, 20, "o200k_base", calls=ids)


def says(text: str = "Hello") -> Remembered:
    return Remembered(0, "assistant", orjson.dumps({"role": "assistant", "content": text}), 5, "o200k_base")


def tells(call_id: str | None) -> Remembered:
    return Remembered(0, "tool", orjson.dumps({"role": "tool", "tool_call_id": call_id}), 7, "o200k_base", (), call_id)
