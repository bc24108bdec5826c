"""Retention: what is due by the settings, removed in batches with pauses, told once."""

from datetime import UTC, datetime, timedelta

import pytest
import structlog

from gateway.domain import AuditEntry
from gateway.errors import StorageUnavailable
from gateway.jobs.retention import Retention, cleaning_at
from gateway.ports import Cleaned, Cleaning
from gateway.settings import RetentionSettings
from gateway.storage.memory import InMemoryStore

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
SETTINGS = RetentionSettings(interval=90)


class LookedEnough(Exception):
    """Ends a job, which otherwise goes on for ever."""


class DirtyStore(InMemoryStore):
    """Answers as it is told to; then there is nothing left to remove."""

    def __init__(self, *answers: Cleaned | Exception | None) -> None:
        super().__init__()
        self.answers = list(answers)
        self.asked: list[Cleaning] = []

    async def clean(self, cleaning: Cleaning) -> Cleaned | None:
        self.asked.append(cleaning)
        answer = self.answers.pop(0) if self.answers else Cleaned()
        if isinstance(answer, Exception):
            raise answer
        return answer


class Sleep:
    """Takes no time. Raises LookedEnough when the job would wait for its next look."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)
        if seconds == SETTINGS.interval:
            raise LookedEnough


def retention(store: DirtyStore, sleep: Sleep) -> Retention:
    return Retention(store, SETTINGS, clock=lambda: NOW, sleep=sleep)


async def audited(store: DirtyStore) -> list[AuditEntry]:
    return list((await store.list_audit(limit=10, offset=0)).items)


@pytest.mark.parametrize(
    ("settings", "days"),
    [
        (RetentionSettings(), (30, None, None)),
        (RetentionSettings(deleted_days=0, inactive_days=0.5, ledger_days=365), (0, 0.5, 365)),
        (RetentionSettings(deleted_days=None), (None, None, None)),
    ],
)
def test_what_is_due_by_the_settings(
    settings: RetentionSettings, days: tuple[float | None, float | None, float | None]
) -> None:
    cleaning = cleaning_at(NOW, settings)
    bounds = [None if each is None else NOW - timedelta(days=each) for each in days]
    assert [cleaning.deleted_before, cleaning.inactive_before, cleaning.ledger_before] == bounds
    assert cleaning.now == NOW


async def test_batches_go_on_with_pauses_until_nothing_is_due() -> None:
    store, sleep = DirtyStore(Cleaned(1, 2, 3, 4), Cleaned(10, 20, 30, 40)), Sleep()

    with structlog.testing.capture_logs() as logs, pytest.raises(LookedEnough):
        await retention(store, sleep).run()

    assert store.asked == [cleaning_at(NOW, SETTINGS)] * 3
    pause = sleep.slept[0]
    assert 0 < pause < 1
    assert sleep.slept == [pause, pause, SETTINGS.interval]
    counts = {"purged": 11, "deleted": 22, "messages": 33, "ledger": 44}
    [entry] = await audited(store)
    assert (entry.action, entry.at, entry.target, entry.actor_user_id) == ("retention.run", NOW, None, None)
    assert entry.details == counts
    assert logs == [{"event": "retention", "log_level": "info", **counts}]


async def test_a_look_that_finds_nothing_says_nothing() -> None:
    store = DirtyStore()
    with structlog.testing.capture_logs() as logs, pytest.raises(LookedEnough):
        await retention(store, Sleep()).run()
    assert len(store.asked) == 1
    assert await audited(store) == []
    assert logs == []


async def test_another_process_is_left_to_it() -> None:
    store, sleep = DirtyStore(None, Cleaned(1)), Sleep()
    with pytest.raises(LookedEnough):
        await retention(store, sleep).run()
    assert len(store.asked) == 1
    assert await audited(store) == []


async def test_what_was_removed_before_the_database_failed_is_told_by_the_next_look() -> None:
    store = DirtyStore(Cleaned(1), StorageUnavailable(), Cleaned(2))
    job = retention(store, Sleep())
    with pytest.raises(StorageUnavailable):
        await job.run()
    assert await audited(store) == []
    for _ in range(2):
        with pytest.raises(LookedEnough):
            await job.run()
    [entry] = await audited(store)
    assert entry.details["purged"] == 3
