"""`python -m training.demo --out DIR [--seed N]` writes the demo data in the form every training run reads."""

from pathlib import Path
from typing import Annotated

import typer

from training.demo.generator import SEED, generate, write


def main(
    out: Annotated[Path, typer.Option(help="Folder for items, train, dev and unlabelled .jsonl.", file_okay=False)],
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = SEED,
) -> None:
    """Write the demo data: our own items and made-up responses."""
    for path in write(generate(seed), out):
        typer.echo(path)


if __name__ == "__main__":
    typer.run(main)
