"""A real encoder of the transformers library, tiny and untrained, in a folder: what `--teacher FOLDER` takes."""

import os
from pathlib import Path

import pytest

from tests.training.data import FILLERS, IDEAS
from training.config import DistillationConfig, StudentConfig, TeacherConfig, TextConfig, TrainingConfig

# Before torch is imported: spinning threads slow tiny trainings tenfold on shared cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from tokenizers import Tokenizer
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    from training.tokenizer import learn_tokenizer

    folder = tmp_path_factory.mktemp("encoder")
    content = learn_tokenizer([*IDEAS, *FILLERS, "0 1 2 3 4 5 6 7 8 9"] * 2, 200).decode()
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=Tokenizer.from_str(content), pad_token="[PAD]", unk_token="[UNK]", model_max_length=64
    )
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture
def tiny_config(tiny_encoder: Path) -> TrainingConfig:
    return TrainingConfig(
        validation_share=0.3,
        teacher=TeacherConfig(
            base=str(tiny_encoder),
            max_tokens=64,
            learning_rate=3e-3,
            batch_size=8,
            members=1,
            max_epochs=4,
            averaging=0.8,
        ),
        text=TextConfig(augmented_per_response=2),
        student=StudentConfig(vocabulary=60, embedding=8, filters=8, max_tokens=48),
        distillation=DistillationConfig(epochs=8, learning_rate=1e-2, batch_size=32),
    )
