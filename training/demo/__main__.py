"""`python -m training.demo --out DIR [--seed N]` writes the demo data in the form every training run reads."""

from pathlib import Path
from typing import Annotated

import typer

from training.demo.generator import SEED, files, generate, write


def main(
    out: Annotated[Path, typer.Option(help="Folder for items, train, dev and unlabelled .jsonl.", file_okay=False)],
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = SEED,
    force: Annotated[bool, typer.Option("--force", help="Write over other files of these names.")] = False,
) -> None:
    """Write the demo data: our own items and made-up responses."""
    demo = generate(seed)
    others = [out / name for name, content in files(demo).items() if _is_other(out / name, content)]
    if others and not force:
        names = ", ".join(map(str, others))
        typer.echo(f"{names} exist with other content: name another folder, or say --force to lose them", err=True)
        raise typer.Exit(2)
    for path in write(demo, out):
        typer.echo(path)


def _is_other(path: Path, content: bytes) -> bool:
    """Whether a file that this command would not write itself is in the way."""
    return path.exists() and (not path.is_file() or path.read_bytes() != content)


if __name__ == "__main__":
    typer.run(main)
