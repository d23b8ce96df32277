"""`scorelet backup` and `scorelet restore`: copy the database, keys and bundles to a folder and back."""

import json
from pathlib import Path
from typing import Annotated

import typer

from app.cli.console import (
    ModelsOption,
    WorkFailed,
    engine_of,
    failed,
    models_folder,
    models_or_fail,
    ready_database,
    say,
    settings_or_fail,
)
from app.service.backup import LEFT_OUT, BackupRefused, Manifest, back_up
from app.service.backup import restore as restore_backup
from app.storage.problems import DatabaseUnusable


def backup(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="New folder, which only you can read.")],
    models: ModelsOption = None,
) -> None:
    """Back up the database with its keys, and the bundles; print a receipt.

    The service may keep running. Settings are not included: keep SCORELET_LEARNER_KEY elsewhere.
    """
    home = models_or_fail(models)
    try:
        with ready_database() as engine:
            manifest = back_up(engine, home, folder)
    except BackupRefused as error:
        raise WorkFailed(str(error), code=error.code, **error.fields) from None
    _print_receipt("backup", folder, manifest)


def restore(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder that `scorelet backup` wrote.")],
    force: Annotated[bool, typer.Option("--force", help="Replace existing rows and bundles.")] = False,
    models: ModelsOption = None,
) -> None:
    """Replace the database and the bundles by a backup, completely or not at all; print a receipt.

    Stop the service first. Every file is checked before the first is replaced.
    """
    home = models_folder(models)
    engine = engine_of(settings_or_fail())
    try:
        manifest = restore_backup(engine, home, folder, force=force)
    except BackupRefused as error:
        raise WorkFailed(str(error), code=error.code, **error.fields) from None
    except DatabaseUnusable as error:
        raise failed(error.problem) from None
    finally:
        engine.dispose()
    _print_receipt("restore", folder, manifest)


def _print_receipt(command: str, folder: Path, manifest: Manifest) -> None:
    receipt = {
        "receipt": f"scorelet {command}",
        "folder": str(folder.absolute()),
        "made_at": manifest.made_at.isoformat(timespec="seconds"),
        "database": manifest.database,
        "revision": manifest.revision,
        "rows": manifest.rows,
        "live": manifest.live,
        "files": len(manifest.sha256),
        "not_in_it": LEFT_OUT,
    }
    say(json.dumps(receipt, indent=2))
