"""LoRA (Hu et al. 2021) and QLoRA (Dettmers et al. 2023): small adapters learn beside frozen layers.

QLoRA keeps the frozen layers in 4 bits (NF4, with quantised scales).
"""

import copy
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from transformers import AutoModel, AutoModelForCausalLM, BitsAndBytesConfig

from training.common.hardware import device

logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it recommends a faster kernel
ALPHA = 2  # times the rank: the factor of an adapter's product


def load_in_4_bits(
    source: str, compute: torch.dtype = torch.float32, kind: type[AutoModel | AutoModelForCausalLM] = AutoModel
) -> nn.Module:
    """Load a model in 4 bits onto the device that trains.  Products are computed in `compute`."""
    settings = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute,
    )
    model: nn.Module = kind.from_pretrained(
        source, dtype=torch.float32, quantization_config=settings, device_map={"": device()}
    )
    modules: Iterator[Any] = model.modules()
    for module in modules:
        if hasattr(module, "support_avx512bf16_for_cpu"):
            # Otherwise the first validation on a processor with AVX512-BF16 repacks the weights into a form that passes
            # no gradient back: training would go on, and layers below the last would learn nothing.
            module.support_avx512bf16_for_cpu = False
    return model


def with_adapters(encoder: nn.Module, rank: int, dropout: float) -> nn.Module:
    """Return the encoder with an adapter at every linear layer and all other weights frozen."""
    from peft import LoraConfig, get_peft_model  # takes seconds, and few trainings need adapters

    settings = LoraConfig(r=rank, lora_alpha=ALPHA * rank, lora_dropout=dropout, target_modules="all-linear")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the libraries warn of each other
        adapted: nn.Module = get_peft_model(encoder, settings)
    return adapted


def merged(encoder: nn.Module) -> nn.Module:
    """Return a copy in float32 on the processor that computes the same without adapters."""
    if not hasattr(encoder, "peft_config"):
        return copy.deepcopy(encoder).cpu()
    if not getattr(encoder, "is_loaded_in_4bit", False):
        return _without_adapters(copy.deepcopy(encoder))
    adapted: Any = encoder
    settings = adapted.peft_config["default"]
    base: Any = load_in_4_bits(settings.base_model_name_or_path)
    whole = with_adapters(base.dequantize(), settings.r, settings.lora_dropout)
    learnt = {name: parameter for name, parameter in encoder.named_parameters() if parameter.requires_grad}
    whole.load_state_dict(learnt, strict=False)
    return _without_adapters(whole)


def _without_adapters(adapted: Any) -> nn.Module:
    plain: nn.Module = adapted.eval().cpu().merge_and_unload()
    return plain
