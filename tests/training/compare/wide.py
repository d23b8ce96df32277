"""An encoder wide enough to prune to a TinyBERT-class model."""

import shutil
from pathlib import Path


def write_wide_encoder(folder: Path, tiny_encoder: Path, layers: int = 6) -> Path:
    """Write random weights with the tiny encoder's tokenizer.  Each layer costs a second in every export."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    for file in tiny_encoder.glob("tokenizer*"):
        shutil.copy(file, folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(AutoTokenizer.from_pretrained(tiny_encoder)),
        hidden_size=384,
        num_hidden_layers=layers,
        num_attention_heads=12,
        intermediate_size=1536,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    return folder
