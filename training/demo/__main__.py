"""Write the demo data as a folder for training: `python -m training.demo --out DIR [--seed N]`."""

from pathlib import Path
from typing import Annotated

import typer

from training.demo.generator import SEED, files, generate, write


def main(
    out: Annotated[Path, typer.Option(help="Folder for items, train, dev and unlabelled .jsonl.", file_okay=False)],
    seed: Annotated[int, typer.Option(help="Equal seeds give equal files.")] = SEED,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files of these names.")] = False,
) -> None:
    """Write the demo data: our own items with responses of simulated learners."""
    demo = generate(seed)
    existing = [out / name for name, content in files(demo).items() if _is_other(out / name, content)]
    if existing and not force:
        names = ", ".join(map(str, existing))
        typer.echo(f"{names} exist with other content: choose another folder, or add --force to lose them", err=True)
        raise typer.Exit(2)
    for path in write(demo, out):
        typer.echo(path)


def _is_other(path: Path, content: bytes) -> bool:
    """Return whether a file with other content is in the way."""
    return path.exists() and (not path.is_file() or path.read_bytes() != content)


if __name__ == "__main__":
    typer.run(main)
