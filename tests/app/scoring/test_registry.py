from pathlib import Path

import pytest

from app.scoring.active import ACTIVE
from app.scoring.bundle import STUDENT
from app.scoring.errors import ItemNotReady, UnknownItem
from app.scoring.registry import Registry
from tests.tiny import word_count_onnx, write_tiny_bundle


def test_an_altered_model_is_refused_and_the_others_serve(tmp_path: Path) -> None:
    altered, _ = write_tiny_bundle(tmp_path, "heat-1"), write_tiny_bundle(tmp_path, "heat-2")
    (altered / STUDENT).write_bytes(word_count_onnx(3))

    registry = Registry.from_folder(tmp_path)

    assert set(registry.live) == {"heat-2"}
    assert "checksum" in registry.refused["heat-1"]
    with pytest.raises(ItemNotReady, match="checksum"):
        registry.get("heat-1")


def test_an_item_with_no_active_version_is_refused(tmp_path: Path) -> None:
    (write_tiny_bundle(tmp_path).parent / ACTIVE).unlink()

    assert "no version is active" in Registry.from_folder(tmp_path).refused["heat-1"]


def test_an_active_version_that_is_not_there_is_refused(tmp_path: Path) -> None:
    folder = write_tiny_bundle(tmp_path)
    folder.rename(folder.parent / "20990101T000000Z-00000000")

    assert "missing" in Registry.from_folder(tmp_path).refused["heat-1"]


def test_a_folder_that_cannot_be_an_item_is_named(tmp_path: Path) -> None:
    (tmp_path / "heat 1").mkdir()

    assert Registry.from_folder(tmp_path).refused == {"heat 1": "the folder's name is not an item id"}


@pytest.mark.parametrize("item_id", ["heat-9", "../heat-1", "", "heat-1/20260101T000000Z-00000001"])
def test_an_unknown_item_is_unknown(tmp_path: Path, item_id: str) -> None:
    write_tiny_bundle(tmp_path)

    with pytest.raises(UnknownItem):
        Registry.from_folder(tmp_path).get(item_id)
