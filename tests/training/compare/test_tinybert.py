from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import AutoModel

from app.scoring.decoding import softmax
from tests.training.compare.group_runs import an_untaught_run, dev_texts
from tests.training.conftest import tiny_settings
from tests.training.example_rows import GRADES, ITEM, item_data
from training.compare import tinybert
from training.compare.pruning import pruned
from training.compare.tinybert import _attention_scores, _tokens, tiny_berts
from training.config import TextConfig
from training.data import ItemData
from training.pipeline.group_run import GroupRun
from training.pipeline.prepare import tokenizer_for
from training.student.training_set import TrainingSet, texts_for
from training.teacher.encoder import ScoringEncoder, load_base, tokenise
from training.teacher.ensemble import FineTuned, Member


def a_group_run(encoder: Path, cache: Path, *items: ItemData, key: str = "wide") -> GroupRun:
    """Return a run whose teacher is untrained but has decided outputs."""
    config = tiny_settings(encoder).model_copy(update={"text": TextConfig(augmented_per_response=1)})
    run = an_untaught_run(*items, config=config)
    tokenizer, base = load_base(str(encoder))
    torch.manual_seed(1)
    network = ScoringEncoder(base, items[0].item, 0.1)
    if not items[0].item.is_continuous:
        with torch.no_grad():
            network.head.weight.mul_(10)
    teacher = FineTuned(key, (Member(network, (0.0,), 1.0),), tokenizer, 64)
    item_runs = tuple(replace(item_run, texts=texts_for(item_run.parts, config)) for item_run in run.items)
    pieces = tokenizer_for([item_run.texts for item_run in item_runs], config)
    return replace(run, cache=cache, items=item_runs, tokenizer=pieces, teacher=teacher)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, wide_encoder: Path) -> GroupRun:
    return a_group_run(wide_encoder, tmp_path_factory.mktemp("cache"), item_data(12, 4, 2))


@torch.no_grad()
def test_attention_scores_equal_those_of_transformers(run: GroupRun, wide_encoder: Path) -> None:
    assert isinstance(run.teacher, FineTuned)
    eager = AutoModel.from_pretrained(wide_encoder, attn_implementation="eager").eval()
    small, _ = pruned(eager, [1, 2, 4, 5])
    texts = ["the air gets warm", "so then it becomes lighter because cold air takes its place"]
    tokens = tokenise(run.teacher.tokenizer, ["", ""], texts, 64)
    mask = tokens["attention_mask"].bool()
    assert not mask.all()

    for encoder in (eager, small):
        read = encoder(**tokens, output_hidden_states=True, output_attentions=True)
        for layer, wanted in enumerate(read.attentions, start=1):
            scores = _attention_scores(encoder, layer, read.hidden_states, mask)
            assert (scores.masked_select(~both(mask).expand_as(scores)) == 0).all()
            hidden = scores.masked_fill(~mask[:, None, None, :], -torch.inf)
            real = mask[:, None, :, None].expand_as(wanted)
            assert (hidden.softmax(dim=3) - wanted)[real].abs().max() < 1e-5


def both(mask: Tensor) -> Tensor:
    return mask[:, None, :, None] & mask[:, None, None, :]


def distance(run: GroupRun, outputs: Any) -> float:
    """Return the mean cross-entropy to the teacher on the training texts, less its minimum."""
    assert run.teacher is not None
    texts = run.items[0].texts.all
    wanted, given = softmax(run.teacher.outputs(texts)), softmax(outputs(texts))
    return float((wanted * (np.log(wanted) - np.log(given))).sum(axis=1).mean())


def test_training_approaches_the_teacher(run: GroupRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tinybert, "PREDICTIONS_EPOCHS", 4)
    monkeypatch.setattr(tinybert, "BATCH", 4)
    starts: list[float] = []
    learn = tinybert._learn_predictions

    def watched(network: ScoringEncoder, teacher: FineTuned, *arguments: Any) -> None:
        start = FineTuned("start", (Member(network, (), None),), teacher.tokenizer, 64)
        starts.append(distance(run, start.outputs))
        learn(network, teacher, *arguments)

    monkeypatch.setattr(tinybert, "_learn_predictions", watched)

    [competitor] = tiny_berts(run, 0)

    assert distance(run, competitor.outputs) < 0.5 * starts[0]
    assert 4_500_000 < competitor.parameters < 5_000_000
    assert competitor.seconds is not None


def test_trained_network_is_cached(run: GroupRun, monkeypatch: pytest.MonkeyPatch) -> None:
    first = tiny_berts(run, 0)[0].outputs(dev_texts(run))

    monkeypatch.setattr(tinybert, "_learn", lambda *_: pytest.fail("learnt again"))

    assert (tiny_berts(run, 0)[0].outputs(dev_texts(run)) == first).all()


def test_training_resumes_after_the_first_stage(run: GroupRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tiny_berts(run, 0)[0].outputs(dev_texts(run))
    fresh = replace(run, cache=tmp_path)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tinybert, "_learn_predictions", killed)
        with pytest.raises(KeyboardInterrupt):
            tiny_berts(fresh, 0)
    with monkeypatch.context() as patch:
        patch.setattr(tinybert, "_learn_states", lambda *_: pytest.fail("learnt again"))
        [competitor] = tiny_berts(fresh, 0)

    assert np.abs(competitor.outputs(dev_texts(run)) - whole).max() < 1e-5


def test_other_texts_or_teacher_train_another_network(run: GroupRun, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_berts(run, 0)
    monkeypatch.setattr(tinybert, "_learn", lambda *_: pytest.fail("learnt"))
    assert isinstance(run.teacher, FineTuned)
    [item_run] = run.items
    fewer_texts = replace(item_run.texts, unlabelled=())
    fewer = replace(run, items=(replace(item_run, texts=fewer_texts),))

    for other in (fewer, replace(run, teacher=replace(run.teacher, key="other"))):
        with pytest.raises(pytest.fail.Exception):
            tiny_berts(other, 0)


def test_items_that_share_a_teacher_share_a_network_and_its_time(wide_encoder: Path, tmp_path: Path) -> None:
    """The items have grades, and each item's question precedes its responses."""
    items = [GRADES.model_copy(update={"item_id": f"shade-{n}", "prompt": "the air " * (n + 1)}) for n in range(2)]
    run = a_group_run(wide_encoder, tmp_path, *(item_data(6, 2, 1, item, seed=n) for n, item in enumerate(items)))

    first, second = tiny_berts(run, 0)

    seconds = [float(file.read_text()) for file in (tmp_path / "tinybert").glob("*/*.seconds")]
    assert len(seconds) == 2
    assert first.seconds == second.seconds == pytest.approx(sum(seconds) / 2)
    text = ["it becomes lighter"]
    assert first.outputs(text).shape == (1, 2)
    assert np.abs(first.outputs(text) - second.outputs(text)).max() > 1e-4
    assert (first.outputs(text)[:, 1] > 0).all()


@pytest.mark.parametrize("most", [10, 1000])
def test_contexts_texts_and_outputs_are_in_the_same_order(most: int) -> None:
    training_sets = [
        TrainingSet(
            texts=tuple(f"{item} {row}" for row in range(rows)),
            targets=np.zeros(rows),
            teacher=np.array([[item, row] for row in range(rows)], float),
        )
        for item, rows in enumerate((7, 30, 5))
    ]

    drawn = [_tokens(training_sets, ["first", "second", "third"], seed, most) for seed in (0, 1, 0)]

    for reading in drawn:
        assert len(reading.texts) == len(set(reading.texts)) == min(most, 42)
        for context, text, (item, row) in zip(reading.contexts, reading.texts, reading.teacher, strict=True):
            assert text == f"{item:.0f} {row:.0f}"
            assert context == ["first", "second", "third"][int(item)]
    assert drawn[0].texts == drawn[2].texts
    assert (drawn[0].texts == drawn[1].texts) == (most > 42)


def test_small_teacher_makes_no_competitor(tiny_encoder: Path, tmp_path: Path) -> None:
    assert tiny_berts(a_group_run(tiny_encoder, tmp_path, item_data(12, 4, 2)), 0) == []


def test_no_teacher_makes_no_competitor() -> None:
    assert tiny_berts(an_untaught_run(item_data(12, 4, item=ITEM)), 0) == []
