"""Responses as HTML from editors score like plain text: every dev row of the demo items, in eight forms."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from tests.editors import FORMS
from training.demo.generator import DemoRow, generate

MODELS = Path(__file__).parents[2] / "models"


@pytest.fixture(scope="module")
def rows() -> list[DemoRow]:
    return generate().dev


@pytest.fixture(scope="module")
def client(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    database = tmp_path_factory.mktemp("forms") / "scorelet.db"
    database.write_bytes(migrated_sqlite.read_bytes())
    app = create_app(Settings(models_dir=MODELS, database_url=f"sqlite:///{database}"))
    with TestClient(app, base_url="http://127.0.0.1", client=("127.0.0.1", 50000)) as client:
        yield client


def scored(client: TestClient, rows: list[DemoRow], texts: list[str]) -> list[dict[str, Any]]:
    bodies = [{"item_id": row["item_id"], "response": text} for row, text in zip(rows, texts, strict=True)]
    results = client.post("/score/batch", json={"responses": bodies}).json()["results"]
    return [result | {"prediction_id": None} for result in results]


@pytest.fixture(scope="module")
def plain(client: TestClient, rows: list[DemoRow]) -> list[dict[str, Any]]:
    return scored(client, rows, [str(row["response"]) for row in rows])


def test_demo_rows_are_complete_and_cover_auto_and_review(plain: list[dict[str, Any]]) -> None:
    assert len(plain) == 450  # including a blank response
    assert {prediction["decision"] for prediction in plain} >= {"auto", "review"}


@pytest.mark.parametrize("form", FORMS)
def test_markup_changes_no_field_of_any_reply(
    client: TestClient, rows: list[DemoRow], plain: list[dict[str, Any]], form: str
) -> None:
    texts = [FORMS[form](str(row["response"])) for row in rows]

    marked_up = scored(client, rows, texts)

    pairs = enumerate(zip(marked_up, plain, strict=True))
    assert [number for number, (with_markup, without) in pairs if with_markup != without] == []
