"""`scorelet backup` and `scorelet restore`: database, keys and bundles, to a folder and back."""

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
from app.service.backup import restore as restored
from app.storage.problems import DatabaseUnusable


def backup(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder; you alone can read it.")],
    models: ModelsOption = None,
) -> None:
    """Back up the database, with its keys, and the bundles, while the service runs; print a receipt.

    The settings are not in it: keep SCORELET_LEARNER_KEY elsewhere.
    """
    home = models_or_fail(models)
    try:
        with ready_database() as engine:
            made = back_up(engine, home, folder)
    except BackupRefused as error:
        raise WorkFailed(str(error), code=error.code, **error.fields) from None
    _print_receipt("backup", folder, made)


def restore(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that `scorelet backup` wrote.")],
    force: Annotated[bool, typer.Option("--force", help="Replace rows and bundles that are there.")] = False,
    models: ModelsOption = None,
) -> None:
    """Put a backup in the place of database and bundles, wholly or not at all; print a receipt.

    Every file is checked first. Stop the service before.
    """
    home = models_folder(models)
    engine = engine_of(settings_or_fail())
    try:
        made = restored(engine, home, folder, force=force)
    except BackupRefused as error:
        raise WorkFailed(str(error), code=error.code, **error.fields) from None
    except DatabaseUnusable as error:
        raise failed(error.problem) from None
    finally:
        engine.dispose()
    _print_receipt("restore", folder, made)


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
