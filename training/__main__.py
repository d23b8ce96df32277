"""Check data, train bundles and evaluate them.  `check` and `evaluate` need no torch."""

import os
import sys

import typer

from app.scoring.errors import ScoringError
from app.scoring.files.output import CannotWrite
from app.settings import unknown_names
from training.cli.check import check
from training.cli.compare import compare
from training.cli.evaluate import evaluate
from training.cli.feedback import feedback
from training.cli.options import UsageFailure
from training.cli.run import run
from training.errors import BadConfig, TrainingError

cli = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)


@cli.callback()
def refuse_unknown_settings() -> None:
    """Raise UsageFailure if the environment has a SCORELET_ variable that is no setting."""
    if unknown := unknown_names(os.environ):
        raise UsageFailure("; ".join(unknown.values()), code="unknown_setting", settings=sorted(unknown))


for command in (check, run, compare, evaluate, feedback):
    cli.command()(command)


def main() -> None:
    """Run the command line: exit code 0, 1 (the work failed) or 2 (bad usage), with a message and no traceback."""
    try:
        cli()
    except (UsageFailure, BadConfig, CannotWrite) as error:
        sys.stderr.write(f"scorelet-train: {error}\n")
        sys.exit(2)
    except OSError as error:
        reason = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        sys.stderr.write(f"scorelet-train: {reason}\n")
        sys.exit(1)
    except (ScoringError, TrainingError) as error:
        sys.stderr.write(f"scorelet-train: {error}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
