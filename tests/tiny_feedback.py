"""A real feedback bundle whose language model, run by llama.cpp, always writes a given text.

The only layer of the model is zero, so the next token depends on the last token only.  The first word follows the
prompt, and each word follows the word before.  After the last word comes the end or, in an endless model, the first
word again.

The verdict reader counts words: one word means `between`, two or more mean `highest`.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import gguf
import numpy as np
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import WordLevel

from app.scoring.bundle_files import file_sha256
from app.scoring.feedback.bundle import (
    BASE,
    CARD,
    FEEDBACK_FOLDER,
    FEEDBACK_JSON,
    READER,
    READER_TOKENIZER,
    REQUIRED_FILES,
    TOKENIZER,
    FeedbackBundle,
    FeedbackProvenance,
    VerdictSettings,
)
from app.scoring.feedback.prompt import PromptSettings
from app.scoring.feedback.screen import BETWEEN, HIGHEST, LOWEST
from app.scoring.item import Item
from app.scoring.live_version import release_ungated
from tests.tiny import word_count_onnx, word_tokenizer

UNKNOWN, BEGIN, END, GO = "<unk>", "<s>", "</s>", "<go>"
WIDTH = 32  # of embeddings, and the largest number of tokens
VERSION = "20260101T000000Z-0000000f"
SETTINGS = PromptSettings(
    before="",
    after=GO,
    end=2,
    question_tokens=32,
    reference_tokens=32,
    response_tokens=64,
    feedback_tokens=64,
)
VERDICTS = Item(item_id="verdict", prompt="Which?", scale="nominal", labels=(LOWEST, BETWEEN, HIGHEST))


def write_tiny_feedback(
    models: Path,
    items: Sequence[Item],
    *,
    text: str = "Nearly",
    name: str = "tiny",
    endless: bool = False,
    live: bool = True,
    settings: PromptSettings = SETTINGS,
) -> Path:
    """Write a bundle and, with `live`, release it; return its folder."""
    folder = models / FEEDBACK_FOLDER / name / VERSION
    folder.mkdir(parents=True)
    words = text.split()
    tokens = [UNKNOWN, BEGIN, END, GO, *dict.fromkeys(f"▁{word}" for word in words)]
    write_model(folder / BASE, tokens, [f"▁{word}" for word in words], endless)
    tokenizer = Tokenizer(WordLevel({token: number for number, token in enumerate(tokens)}, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    (folder / TOKENIZER).write_text(tokenizer.to_str())
    (folder / READER).write_bytes(word_count_onnx(3))
    (folder / READER_TOKENIZER).write_bytes(word_tokenizer())
    (folder / CARD).write_text("# A tiny feedback model\n")
    bundle = FeedbackBundle(
        name=name,
        version=VERSION,
        items=tuple(items),
        prompt=settings,
        verdict=VerdictSettings(item=VERDICTS, max_tokens=64, threshold=0.5),
        figures={},
        provenance=FeedbackProvenance(
            created_at=datetime(2026, 1, 1, tzinfo=UTC), data_sha256="0" * 64, base="tiny", config={}, software={}
        ),
        sha256={file: file_sha256(folder / file) for file in REQUIRED_FILES},
    )
    (folder / FEEDBACK_JSON).write_text(bundle.model_dump_json())
    if live:
        release_ungated(folder.parent, VERSION, by="a test", reason="to test")
    return folder


def write_model(path: Path, tokens: Sequence[str], text: Sequence[str], endless: bool = False) -> None:
    """Write a GGUF file.  `tokens` is the vocabulary; its first three tokens are unknown, begin and end."""
    ids = [tokens.index(GO), *(tokens.index(token) for token in text)]
    follows = dict(zip(ids, [*ids[1:], ids[1] if endless else tokens.index(END)], strict=True))
    embeddings, output = np.zeros((2, len(tokens), WIDTH), np.float32)
    for token in range(len(tokens)):
        embeddings[token, token] = 1
        output[follows.get(token, tokens.index(END)), token] = 1
    nothing, one = np.zeros((WIDTH, WIDTH), np.float32), np.ones(WIDTH, np.float32)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(4096)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(WIDTH)
    writer.add_head_count(1)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]
    writer.add_token_types([*kinds, *[gguf.TokenType.NORMAL] * (len(tokens) - len(kinds))])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    for name, values in {
        "token_embd": embeddings,
        "output": output,
        "output_norm": one,
        **{f"blk.0.{layer}": one for layer in ("attn_norm", "ffn_norm")},
        **{f"blk.0.attn_{layer}": nothing for layer in ("q", "k", "v", "output")},
        **{f"blk.0.ffn_{layer}": nothing for layer in ("gate", "up", "down")},
    }.items():
        writer.add_tensor(f"{name}.weight", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
