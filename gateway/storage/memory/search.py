"""Search by looking at every message: no index, hence nothing that could be missing from one."""

from collections.abc import Iterator, Sequence

from gateway.domain import SearchHit, Session
from gateway.storage.memory.tables import Row, Tables
from gateway.storage.words import matches, phrases_of, snippet, text_of, words_of


def search(tables: Tables, user_id: str, query: str, *, include_archived: bool) -> list[SearchHit]:
    """All that is found: the best first, and of equals the newest."""
    phrases = phrases_of(query)
    if not phrases:
        return []
    sessions = tables.of_user(user_id, include_archived=include_archived)
    found = [scored for session in sessions for scored in _hits(session, tables.messages[session.id], phrases)]
    found.sort(key=lambda scored: (scored[0], scored[1].created_at), reverse=True)
    return [hit for _, hit in found]


def _hits(session: Session, rows: Sequence[Row], phrases: Sequence[Sequence[str]]) -> Iterator[tuple[float, SearchHit]]:
    """With their score: which share of the text's words were asked for."""
    texts: list[tuple[str, Row | None]] = [(session.name or "", None)]
    texts += [(text_of(row.message.body), row) for row in rows]
    for text, row in texts:
        words = words_of(text)
        if matches(words, phrases):
            yield sum(words.count(phrase[0]) for phrase in phrases) / len(words), _hit(session, row, text, phrases)


def _hit(session: Session, row: Row | None, text: str, phrases: Sequence[Sequence[str]]) -> SearchHit:
    return SearchHit(
        session_id=session.id,
        session_name=session.name,
        seq=row.seq if row else 0,
        message_id=row.message.id if row else None,
        role=row.message.role if row else None,
        snippet=snippet(text, phrases),
        created_at=row.turn.created_at if row else session.created_at,
    )
