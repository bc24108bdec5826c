"""`gateway sessions`: stored conversations, out of a database and into it. Works while the server runs."""

import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated, Literal

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from gateway.auth.audit import audit_entry
from gateway.cli.console import Config, fail, people, read_settings, say, with_store
from gateway.domain import User
from gateway.ports import Store
from gateway.storage.exporting import every_user, export_session, export_user
from gateway.storage.importing import import_sessions

sessions_app = typer.Typer(help="Export and import sessions. Works while the server runs.", no_args_is_help=True)


@sessions_app.command("export")
def export(
    user: Annotated[str | None, typer.Option(help="Only this user's sessions.")] = None,
    session: Annotated[str | None, typer.Option(help="Only this session.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Else standard output.")] = None,
    config: Config = None,
) -> None:
    """Write sessions as JSON Lines, one a line, archived ones too. Deleted ones are left out."""
    settings = read_settings(config)
    with _opened(output, "wb", sys.stdout.buffer) as target:
        count = with_store(settings, lambda store: _export(store, target, user, session))
    if count == 0 and session is not None:
        fail(f"There is no session {session!r}{'' if user is None else ' of that user'}.")
    say(f"Exported {_counted(count, 'session')}.")


@sessions_app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(metavar="FILE|-", help="What `export` has written; - is standard input.")],
    user: Annotated[str | None, typer.Option(help="Who is to own them, instead of those whom the lines name.")] = None,
    config: Config = None,
) -> None:
    """Read sessions from JSON Lines. Those that are there already are left as they are.

    Lines that are wrong are told, and the others imported; the exit code is 1 then. Run it again if it was broken off.
    """
    settings = read_settings(config)
    with _opened(None if source == Path("-") else source, "rb", sys.stdin.buffer) as lines:
        done = with_store(settings, lambda store: _import(store, lines, user))
    say(
        f"Imported {_counted(done.sessions, 'session')} with {_counted(done.messages, 'message')}; "
        f"{done.skipped} were there already; {_counted(done.mistakes, 'line')} could not be imported."
    )
    if done.mistakes:
        raise typer.Exit(1)


@dataclass
class _Summary:
    sessions: int = 0
    messages: int = 0
    skipped: int = 0
    mistakes: int = 0


async def _export(store: Store, target: IO[bytes], user: str | None, session_id: str | None) -> int:
    """How many sessions were written."""
    users = [found async for found in every_user(store) if user in (None, found.name, found.id)]
    if user is not None and not users:
        fail(f"There is no user {user!r}. `gateway users list` shows them.")
    count = 0
    with _progress() as (progress, task):
        for found in users:
            async for chunk in _lines(store, found, session_id):
                target.write(chunk)
                count += chunk.endswith(b"\n")  # there is none within a line: JSON escapes them
                progress.update(task, advance=len(chunk), description=_counted(count, "session"))
    target.flush()
    if count:
        await store.add_audit(audit_entry("data.export", session_id or _only(users), sessions=count))
    return count


async def _import(store: Store, lines: IO[bytes], owner: str | None) -> _Summary:
    done = _Summary()
    with _progress(_size(lines)) as (progress, task):
        async for line in import_sessions(store, lines, owner=owner):
            done.messages += line.messages
            done.skipped += line.skipped
            if line.mistake is not None:
                done.mistakes += 1
                say(f"line {line.number}: {line.mistake}")
            elif not line.skipped:
                done.sessions += 1
            progress.update(task, advance=line.size, description=_counted(done.sessions, "session"))
    if done.sessions:
        await store.add_audit(audit_entry("data.import", None, sessions=done.sessions, messages=done.messages))
    return done


def _lines(store: Store, user: User, session_id: str | None) -> AsyncIterator[bytes]:
    return export_user(store, user) if session_id is None else _one(store, user, session_id)


async def _one(store: Store, user: User, session_id: str) -> AsyncIterator[bytes]:
    session = await store.get_session(user.id, session_id)
    if session is not None:
        async for chunk in export_session(store, session, user=user.name):
            yield chunk


def _only(users: list[User]) -> str | None:
    return users[0].id if len(users) == 1 else None


@contextmanager
def _opened(path: Path | None, mode: Literal["rb", "wb"], standard: IO[bytes]) -> Iterator[IO[bytes]]:
    """The file of that path, or the standard stream, which stays open. What goes wrong with it ends the process."""
    try:
        with nullcontext(standard) if path is None else path.open(mode) as stream:
            yield stream
    except BrokenPipeError:  # as of `| head`, which has read enough
        raise
    except OSError as exc:
        fail(f"{path or standard.name}: {exc.strerror}.")


def _size(stream: IO[bytes]) -> int | None:
    """Bytes to come, if that is known: of a pipe it is not."""
    return os.fstat(stream.fileno()).st_size or None


@contextmanager
def _progress(total: int | None = None) -> Iterator[tuple[Progress, TaskID]]:
    """Shown while it goes on, on a terminal only."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=people, transient=True, disable=not people.is_terminal) as progress:
        yield progress, progress.add_task("", total=total)


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
