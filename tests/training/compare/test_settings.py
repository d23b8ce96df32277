"""The contestants that depend on each setting, and their independence of all other settings."""

from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from pydantic import BaseModel

from tests.training.compare.group_runs import a_group_run, dev_texts, quick
from tests.training.conftest import tiny_settings
from tests.training.example_rows import item_data
from training.compare.contest import Contestant, heads_of
from training.compare.run import CONTESTANTS
from training.compare.settings import EVERY_PART, READ, hashes
from training.config import ApiConfig, TrainingConfig

NOBODY: set[str] = set()
EVERYONE = {contestant.name for contestant in CONTESTANTS}
STUDENTS = {"human_labels", "published_loss", "student"}
TAUGHT = {"published_loss", "student", "tiny_bert", "teacher"}

# Who may be made anew by a change of each setting: items have a teacher of their own, of which all weights learn.
ANEW: dict[str, set[str]] = {
    "seed": EVERYONE,
    "validation_share": EVERYONE,
    "calibration_folds": NOBODY,
    "target_agreement": NOBODY,
    "human_margin": NOBODY,
    "learning_curve": NOBODY,
    "attacks_of_a_kind": NOBODY,
    "phrases.begging": NOBODY,
    "phrases.padding": NOBODY,
    "phrases.adverbs": NOBODY,
    "phrases.opposites": NOBODY,
    "release.min_responses": NOBODY,
    "release.min_agreement": NOBODY,
    "release.max_degradation": NOBODY,
    "release.max_smd": NOBODY,
    "release.max_group_difference": NOBODY,
    "release.min_group": NOBODY,
    "release.min_recall": NOBODY,
    "release.max_ece": NOBODY,
    "release.max_junk": NOBODY,
    "release.max_over_long": NOBODY,
    "teacher.base": TAUGHT,
    "teacher.kind": TAUGHT,
    "teacher.api.url": NOBODY,
    "teacher.api.model": NOBODY,
    "teacher.api.requests_per_minute": NOBODY,
    "teacher.api.parallel": NOBODY,
    "teacher.adapter_rank": NOBODY,
    "teacher.adapter_learning_rate": NOBODY,
    "teacher.own_from": NOBODY,  # decides which items share a teacher, whose data are in the keys
    "teacher.max_tokens": TAUGHT,
    "teacher.batch_size": TAUGHT,
    "teacher.learning_rate": TAUGHT,
    "teacher.warmup": TAUGHT,
    "teacher.weight_decay": TAUGHT,
    "teacher.dropout": TAUGHT,
    "teacher.averaging": TAUGHT,
    "teacher.members": TAUGHT,
    "teacher.max_epochs": TAUGHT,
    "teacher.min_steps": TAUGHT,
    "teacher.shared_min_steps": NOBODY,
    "teacher.patience": TAUGHT,
    "teacher.checkpointing": NOBODY,
    "teacher.precision": TAUGHT,
    "text.unlabelled": {"student", "tiny_bert"},  # no head is chosen on unlabelled text
    "text.augmented_per_response": {"student", "tiny_bert"},
    "student.vocabulary": STUDENTS,
    "student.embedding": STUDENTS,
    "student.hidden": STUDENTS,
    "student.max_tokens": STUDENTS,
    "student.dropout": STUDENTS,
    "distillation.soft_weight": {"published_loss", "student"},
    "distillation.temperature": {"student"},
    "distillation.batch_size": STUDENTS,
    "distillation.learning_rate": STUDENTS,
    "distillation.weight_decay": STUDENTS,
    "distillation.epochs": STUDENTS,
    "distillation.shared_epochs": NOBODY,
    "distillation.min_steps": STUDENTS,
    "distillation.seed": STUDENTS,
}
# The same where it differs: of items that share a teacher, of adapters, and of a teacher behind an API.
SHARED = ANEW | {"teacher.shared_min_steps": TAUGHT, "distillation.shared_epochs": STUDENTS}
ADAPTERS = ANEW | {"teacher.adapter_rank": TAUGHT, "teacher.adapter_learning_rate": TAUGHT}
OF_ITS_NETWORK = {path: NOBODY for path, who in ANEW.items() if path.startswith("teacher.") and who == TAUGHT}
API = ANEW | OF_ITS_NETWORK | dict.fromkeys(("teacher.kind", "teacher.api.url", "teacher.api.model"), TAUGHT)

OTHER: dict[str, Any] = {
    "teacher.base": "minilm",
    "teacher.kind": "qlora",
    "teacher.max_tokens": 48,
    "teacher.precision": "bfloat16",
    "teacher.api.url": "http://127.0.0.1:2/v1",
    "phrases.opposites": (("is", "isn't"),),
    "learning_curve": (0.5,),
}


def leaves(kind: type[BaseModel], before: str = "") -> Iterator[str]:
    """Return every setting by its path."""
    for name, field in kind.model_fields.items():
        inner = [each for each in (field.annotation, *get_args(field.annotation)) if _is_model(each)]
        if inner:
            yield from leaves(inner[0], f"{before}{name}.")
        else:
            yield f"{before}{name}"


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def other(config: TrainingConfig, path: str) -> TrainingConfig:
    """Return the settings with one changed."""
    names = path.split(".")
    value = OTHER.get(path, _other(reduce(getattr, names, config)))
    update: dict[str, Any] = {names[-1]: value}
    for depth in range(len(names) - 1, 0, -1):
        update = {names[depth - 1]: reduce(getattr, names[:depth], config).model_copy(update=update)}
    changed = config.model_copy(update=update)
    assert changed != config
    return TrainingConfig.model_validate(changed.model_dump())


def _other(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return 0.9 * value
    return value + "x" if isinstance(value, str) else value[1:]


def a_config(encoder: Path, **teacher: object) -> TrainingConfig:
    config = tiny_settings(encoder)
    api = ApiConfig(url="http://127.0.0.1:1/v1", model="m")
    return config.model_copy(update={"teacher": config.teacher.model_copy(update={"api": api, **teacher})})


def test_every_setting_belongs_to_a_part_or_to_none() -> None:
    assert set(leaves(TrainingConfig)) == set(ANEW)


@pytest.mark.parametrize(
    ("kind", "several", "expected"),
    [("full", False, ANEW), ("full", True, SHARED), ("lora", False, ADAPTERS), ("api", False, API)],
    ids=["own", "shared", "adapters", "api"],
)
def test_setting_replaces_results_that_depend_on_it(
    tiny_encoder: Path, kind: str, several: bool, expected: dict[str, set[str]]
) -> None:
    config = a_config(tiny_encoder, kind=kind)
    before = {each.name: hashes(each.reads, config, several=several) for each in CONTESTANTS}

    replaced = {}
    for path in ANEW:
        changed = other(config, path)
        after = {each.name: hashes(each.reads, changed, several=several) for each in CONTESTANTS}
        replaced[path] = {name for name in before if before[name] != after[name]}

    assert replaced == expected


def test_teacher_settings_without_a_teacher_keep_results(tiny_encoder: Path) -> None:
    config = a_config(tiny_encoder)
    config = config.model_copy(update={"distillation": config.distillation.model_copy(update={"soft_weight": 0.0})})
    before = hashes(EVERY_PART, config, several=False)

    assert all(
        hashes(EVERY_PART, other(config, path), several=False) == before for path in ANEW if path.startswith("teacher.")
    )


def test_every_part_has_a_contestant() -> None:
    assert {part for each in CONTESTANTS for part in each.reads} == set(EVERY_PART) == set(READ)


@pytest.mark.parametrize("contestant", CONTESTANTS, ids=[each.name for each in CONTESTANTS])
def test_contestants_ignore_settings_outside_their_parts(
    request: pytest.FixtureRequest, tmp_path: Path, contestant: Contestant
) -> None:
    """Change all such settings at once."""
    encoder = request.getfixturevalue("wide_encoder" if contestant.name == "tiny_bert" else "tiny_encoder")
    changed = config = quick(a_config(encoder, max_epochs=1, min_steps=1), min_steps=20)
    for path, who in ANEW.items():
        if contestant.name not in who and path not in ("teacher.base", "teacher.kind"):  # slow to change
            changed = other(changed, path)

    first, second = (_shown(contestant, each, tmp_path) for each in (config, changed))

    assert np.array_equal(first[0], second[0])
    assert first[1] == second[1]


def _shown(contestant: Contestant, config: TrainingConfig, cache: Path) -> tuple[Any, object]:
    """Return outputs on dev, and their head."""
    run = a_group_run(config, cache, item_data(24, 8, 8))
    competitors = contestant.make(run, 0)
    assert competitors
    return competitors[0].outputs(dev_texts(run)), heads_of(run, competitors)[0]
