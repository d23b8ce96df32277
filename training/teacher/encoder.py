"""Any Hugging Face encoder as a scorer: loaded, given an output layer, fed with text."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerBase

from app.scoring.decoding import output_columns
from app.scoring.item import Item
from training.common.hardware import matrix_products
from training.common.losses import OutputLayer
from training.common.progress import hide_loading
from training.errors import BadConfig
from training.teacher.adapters import load_in_4_bits, merged
from training.teacher.base_models import naming, resolve
from training.teacher.gguf import unpacked


class ScoringEncoder(nn.Module):
    """An encoder, the mean of its last hidden states, and a linear layer: from tokens to outputs (batch, columns)."""

    def __init__(self, encoder: nn.Module, item: Item, dropout: float, in_bfloat16: bool = False) -> None:
        super().__init__()
        self.encoder = encoder
        self.in_bfloat16 = in_bfloat16
        self.dropout = nn.Dropout(dropout)
        width = int(encoder.config.hidden_size)  # type: ignore[arg-type, union-attr]
        self.head = OutputLayer(width, output_columns(item), item.is_continuous)

    @property
    def device(self) -> torch.device:
        """Return the device of the weights."""
        return self.head.weight.device

    def forward(self, tokens: dict[str, Tensor]) -> Tensor:
        """Return outputs (batch, columns) in float32 on the network's device; tokens may lie on any device."""
        hidden = self._encoded(tokens).last_hidden_state.float()
        mask = tokens["attention_mask"] if "attention_mask" in tokens else torch.ones(hidden.shape[:2])
        mask = mask.to(self.device).unsqueeze(-1).to(hidden.dtype)
        mean = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)
        outputs: Tensor = self.head(self.dropout(mean))
        return outputs

    @property
    def learnt(self) -> dict[str, nn.Parameter]:
        """Return the weights that learn by name: all weights, or the adapters and the output layer."""
        return {name: parameter for name, parameter in self.named_parameters() if parameter.requires_grad}

    def merged(self) -> "ScoringEncoder":
        """Return a copy in float32 on the processor that computes the same without adapters."""
        plain = copy.deepcopy(self, {id(self.encoder): merged(self.encoder)})  # `merged` copies the encoder
        plain.in_bfloat16 = False
        return plain.cpu().eval()

    def hidden_states(self, tokens: dict[str, Tensor]) -> list[Tensor]:
        """Return the states of the embeddings and of each layer: (batch, tokens, width), in float32."""
        encoded = self._encoded(tokens, output_hidden_states=True)
        return [state.float() for state in encoded.hidden_states]

    def _encoded(self, tokens: dict[str, Tensor], **options: bool) -> Any:
        moved = {name: tensor.to(self.device) for name, tensor in tokens.items()}
        with matrix_products(self.device, self.in_bfloat16):
            return self.encoder(**moved, **options)


def load_base(
    base: str, in_4_bits: bool = False, in_bfloat16: bool = False
) -> tuple[PreTrainedTokenizerBase, nn.Module]:
    """Return the tokenizer and the encoder of a base, with weights in float32 or in 4 bits.  Raise NoWeights."""
    hide_loading()
    source = resolve(base)
    with naming(base):
        if source.endswith(".gguf"):
            source = str(unpacked(Path(source)))
        tokenizer = AutoTokenizer.from_pretrained(source, padding_side="right")
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        if in_4_bits:
            return tokenizer, load_in_4_bits(source, torch.bfloat16 if in_bfloat16 else torch.float32)
        return tokenizer, AutoModel.from_pretrained(source, dtype=torch.float32)


def check_length(settings: Any, max_tokens: int) -> None:
    """Raise BadConfig where a base reads fewer tokens than responses may have."""
    places = getattr(settings, "max_position_embeddings", None)
    if places is not None and max_tokens > places:
        raise BadConfig(
            f"teacher.max_tokens is {max_tokens}, but its base reads {places} at most",
            code="base_reads_fewer_tokens",
            max_tokens=max_tokens,
            limit=places,
        )


def keep_less(encoder: nn.Module) -> None:
    """Let the encoder keep only the input of each layer, and compute the layer again for its gradients.

    Raise BadConfig for a base that cannot.
    """
    if not getattr(encoder, "supports_gradient_checkpointing", False):
        name = type(encoder).__name__
        raise BadConfig(
            f"teacher.checkpointing: {name} cannot compute its layers again: set it to false, or name another base",
            code="no_checkpointing",
            encoder=name,
        )
    encoder.activation_checkpointing_enable({"use_reentrant": False})  # type: ignore[operator]
    encoder.config.use_cache = False  # type: ignore[union-attr]


def tokenise(
    tokenizer: PreTrainedTokenizerBase, contexts: Sequence[str], texts: Sequence[str], max_tokens: int
) -> dict[str, Tensor]:
    """Return the tokens of responses, each after its context where there is one.

    Of a pair that is too long, the longer part loses its end.
    """
    parts: tuple[list[str], ...] = (list(texts),)
    if any(contexts):
        between = "" if tokenizer.sep_token else "\n"  # decoders have no mark for the end of the first part
        parts = (list(contexts), [between + text for text in texts])
    encoded = tokenizer(*parts, padding=True, truncation="longest_first", max_length=max_tokens, return_tensors="pt")
    return dict(encoded)
