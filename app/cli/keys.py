"""`scorelet keys`: create, rotate, list and revoke API keys."""

import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.table import Column, Table
from sqlalchemy.orm import Session

from app.cli.console import WorkFailed, print_table, ready_engine, say
from app.storage import api_keys
from app.storage.tables import ApiKey

keys = typer.Typer(no_args_is_help=True, help="Create, rotate, list and revoke API keys.")
KeyId = Annotated[str, typer.Argument(metavar="ID", help="Id of the key, as `keys list` prints it.")]


@keys.command("create")
def keys_create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the application or school that uses the key.")],
    scope: Annotated[list[api_keys.Scope], typer.Option(help="Right that the key gives; may be repeated.")],
    days: Annotated[
        int | None, typer.Option(min=1, max=36500, help="Days until the key expires. Default: never.")
    ] = None,
    rate: Annotated[
        int | None, typer.Option(min=1, help="Responses per minute that the key may score. Default: unlimited.")
    ] = None,
) -> None:
    """Create a key. It is printed once and cannot be shown again."""
    expires_at = datetime.now(UTC) + timedelta(days=days) if days else None
    with Session(ready_engine()) as session, session.begin():
        key, secret = api_keys.create(session, name, scope, expires_at, rate)
        key_id = key.id
    _show_once(key_id, name, secret)


@keys.command("rotate")
def keys_rotate(
    key_id: KeyId,
    overlap: Annotated[int, typer.Option(min=0, max=365, help="Days that the old key still works.")] = 7,
) -> None:
    """Replace a key by a new key with the same rights."""
    with Session(ready_engine()) as session, session.begin():
        rotated = api_keys.rotate(session, key_id, timedelta(days=overlap))
        if rotated is None:
            sentence = f"no valid key has the id {key_id}: it is unknown, expired or revoked"
            raise WorkFailed(sentence, code="no_working_key", key_id=key_id)
        key, secret = rotated
        new_id, name = key.id, key.name
    _show_once(new_id, name, secret)


@keys.command("list")
def keys_list() -> None:
    """List all keys, without their secrets."""
    first, last = Column("id", no_wrap=True), Column("replaces", no_wrap=True)
    table = Table(first, "name", "scopes", "created", "expires", "revoked", "rate", last, box=SIMPLE)
    with Session(ready_engine()) as session:
        for key in api_keys.all_keys(session):
            table.add_row(*_cells(key))
    print_table(table, 200)


@keys.command("revoke")
def keys_revoke(key_id: KeyId) -> None:
    """Revoke a key at once."""
    with Session(ready_engine()) as session, session.begin():
        if not api_keys.revoke(session, key_id):
            raise WorkFailed(f"no key has the id {key_id}", code="no_key", key_id=key_id)


def _show_once(key_id: str, name: str, secret: str) -> None:
    sys.stderr.write(f"key {key_id} for {name}; save the secret below, because scorelet does not store it:\n")
    say(secret)


def _cells(key: ApiKey) -> list[str]:
    times = [_minute(time) for time in (key.created_at, key.expires_at, key.revoked_at)]
    rate = str(key.responses_a_minute) if key.responses_a_minute else "-"
    return [key.id, key.name, key.scopes, *times, rate, key.replaces or "-"]


def _minute(time: datetime | None) -> str:
    return f"{time:%Y-%m-%d %H:%M}" if time else "-"
