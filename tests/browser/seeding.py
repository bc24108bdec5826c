"""A database as a small team would have left it: a day of turns with their latencies, costs and failures, and a few
conversations. The same every time, but for when it was.
"""

import asyncio
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from gateway.auth.issuing import issue_key
from gateway.domain import ApiKey, LedgerEntry, NewMessage, Session, Status, Usage
from gateway.ids import new_message_id, new_request_id, new_session_id, new_turn_id
from gateway.ports import ClosedTurn, Store
from gateway.storage.sqlite import SqliteStore

Texts = Sequence[tuple[str, str]]

_MODELS = {
    "gpt-5.4-mini": (0.55, 900.0, 4e-7, 1.6e-6),
    "claude-sonnet": (0.3, 1900.0, 3e-6, 1.5e-5),
    "local": (0.15, 480.0, None, None),
}
"""Name: share of the turns, usual latency, price of a token in, and out."""

_ERRORS = [
    (429, "rate_limit_exceeded"),
    (429, "rate_limit_exceeded"),
    (504, "provider_timeout"),
    (502, "provider_unavailable"),
]

_CONVERSATIONS: Mapping[str, Texts] = {
    "Refund for order 20717": [
        ("user", "My order 20717 came with a broken lamp. Can I have the money back?"),
        (
            "assistant",
            "I am sorry about the lamp. Order 20717 is within its 30 days, so yes: shall I refund it to your card?",
        ),
        ("user", "Yes, please. How long will that take?"),
        ("assistant", "Done. Your bank usually shows it within three working days; the lamp you may keep or recycle."),
    ],
    "Nightly report is late": [
        ("user", "Why was last night's report four hours late?"),
        (
            "assistant",
            (
                "Its export waited for a lock that the clean-up held from 01:10 to 05:02. "
                "Moving the clean-up to 06:00 would part them."
            ),
        ),
    ],
    "Onboarding: plan for week one": [
        ("user", "Draft a first week for a new colleague in support."),
        (
            "assistant",
            (
                "Monday: meet the team, read ten closed tickets. Tuesday and Wednesday: shadow Priya. "
                "Thursday: answer with a reviewer. Friday: write down what surprised you."
            ),
        ),
        ("user", "Shorter, as a list."),
        ("assistant", "- Mon: people and ten tickets\n- Tue/Wed: shadow Priya\n- Thu: answer, reviewed\n- Fri: notes"),
    ],
    "Translate the release notes": [
        ("user", "Translate into German: “Sessions can now be archived.”"),
        ("assistant", "„Sitzungen lassen sich jetzt archivieren.“"),
    ],
    "Which index does this query use?": [
        ("user", "EXPLAIN says Seq Scan although there is an index on created_at. Why?"),
        (
            "assistant",
            (
                "The condition matches 80 % of the rows: reading the table in order is cheaper than jumping "
                "through the index."
            ),
        ),
    ],
}


class Seeded:
    """The keys of a seeded database, as their texts."""

    def __init__(self, admin: str, users: Mapping[str, str]) -> None:
        self.admin = admin
        self.users = users


def seed(directory: Path, *, turns: int = 900) -> Seeded:
    """Fill the database that a gateway in `directory` will open."""
    (directory / "data").mkdir()
    with ThreadPoolExecutor(1) as thread:  # on this one Playwright's own loop may be running
        return thread.submit(lambda: asyncio.run(_seed(directory, turns))).result()


async def _seed(directory: Path, turns: int) -> Seeded:
    store = SqliteStore(f"sqlite:///{directory}/data/gateway.db", timeout=15)
    await store.start()
    try:
        return await _fill(store, turns)
    finally:
        await store.aclose()


async def _fill(store: Store, turns: int) -> Seeded:
    chance = random.Random(5)  # noqa: S311 - not for secrets
    _, admin = await issue_key(store, user_name="admin", pepper=None, admin=True, name="operations")
    names = {"priya": "support desk", "tomas": "nightly reports", "mei": "laptop"}
    issued = {user: await issue_key(store, user_name=user, pepper=None, name=name) for user, name in names.items()}
    keys = {user: key for user, (key, _) in issued.items()}
    for when in _moments(chance, turns):
        owner = chance.choices(list(keys.values()), [5, 3, 2])[0]
        await store.close_turn(ClosedTurn(_turn(chance, owner, when)))
    for number, (title, texts) in enumerate(_CONVERSATIONS.items()):
        started = datetime.now(UTC) - timedelta(minutes=11 + 47 * number)
        await add_conversation(
            store, keys["priya"], title, texts, started, metadata={"channel": "email" if number % 2 else "chat"}
        )
    return Seeded(admin, {user: text for user, (_, text) in issued.items()})


async def add_conversation(
    store: Store, key: ApiKey, title: str, texts: Texts, started: datetime, metadata: Mapping[str, Any]
) -> Session:
    """A session of the key's user with these messages, two a turn."""
    session = Session(
        id=new_session_id(),
        user_id=key.user.id,
        name=title,
        model="gpt-5.4-mini",
        max_history_messages=20,
        instructions=(),
        metadata=metadata,
        created_at=started,
        updated_at=started,
    )
    await store.create_session(session)
    chance = random.Random(title)  # noqa: S311 - not for secrets
    for number in range(0, len(texts), 2):
        when = started + timedelta(seconds=40 * number)
        entry = replace(
            _turn(chance, key, when),
            session_id=session.id,
            status=Status.COMPLETE,
            model="gpt-5.4-mini",
            error_status=None,
            error_code=None,
        )
        messages = [_message(role, text, entry) for role, text in texts[number : number + 2]]
        await store.close_turn(ClosedTurn(entry, messages))
    return session


def _moments(chance: random.Random, count: int) -> Iterator[datetime]:
    """Over the last day, more of them in the middle of it."""
    now = datetime.now(UTC)
    for _ in range(count):
        hours = 24 * chance.random()
        while chance.random() > 0.35 + 0.6 * math.sin(math.pi * hours / 24) ** 2:
            hours = 24 * chance.random()
        yield now - timedelta(hours=hours, seconds=30)


def _turn(chance: random.Random, key: ApiKey, when: datetime) -> LedgerEntry:
    model = chance.choices(list(_MODELS), [share for share, *_ in _MODELS.values()])[0]
    _, usual, price_in, price_out = _MODELS[model]
    is_failed, is_cut = chance.random() < 0.015, chance.random() < 0.01
    status, code = chance.choice(_ERRORS) if is_failed else (None, None)
    latency = usual * chance.lognormvariate(0, 0.45)
    usage = (
        Usage()
        if is_failed
        else Usage(prompt_tokens=chance.randint(200, 3200), completion_tokens=chance.randint(30, 620))
    )
    cost = (
        None
        if price_in is None or price_out is None
        else usage.prompt_tokens * price_in + usage.completion_tokens * price_out
    )
    return LedgerEntry(
        turn_id=new_turn_id(),
        request_id=new_request_id(),
        user_id=key.user.id,
        key_id=key.id,
        session_id=None,
        model=model,
        provider="openai",
        provider_model=model,
        stream=True,
        status=Status.FAILED if is_failed else Status.INCOMPLETE if is_cut else Status.COMPLETE,
        created_at=when,
        usage=usage,
        cost=cost,
        error_status=status,
        error_code=code,
        latency_ms=latency,
        ttft_ms=None if is_failed else latency * chance.uniform(0.18, 0.3),
        overhead_ms=chance.lognormvariate(-0.3, 0.4),
    )


def _message(role: str, text: str, entry: LedgerEntry) -> NewMessage:
    body = orjson.dumps({"role": role, "content": text})
    is_reply = role == "assistant"
    return NewMessage(
        id=new_message_id(),
        role=role,
        body=body,
        tokens=len(text) // 4 + 4,
        encoding="o200k_base",
        latency_ms=entry.latency_ms if is_reply else None,
        model=entry.model if is_reply else None,
    )
