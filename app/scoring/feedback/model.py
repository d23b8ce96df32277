"""Run the language model with llama.cpp on the processor.  Needs the extra `feedback`."""

import math
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.scoring.errors import BadBundle
from app.scoring.feedback.prompt import PromptSettings
from app.scoring.text import whole_sentences


@dataclass(frozen=True, slots=True)
class GeneratedText:
    """A text that the language model wrote."""

    text: str
    tokens: int


class LanguageModel:
    """A language model that writes one text at a time, with the most probable token at each place."""

    def __init__(self, base: Path, adapter: Path | None, settings: PromptSettings, threads: int = 1) -> None:
        """Load the model.

        Args:
            base: GGUF file of the model.
            adapter: GGUF file of a LoRA adapter, or None.
            settings: settings of prompts, which decide the context length.
            threads: threads of llama.cpp.

        Raises:
            ModuleNotFoundError: the extra `feedback` is not installed.
            BadBundle: llama.cpp cannot load the files.
        """
        import xllamacpp

        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(base)
        if adapter is not None:
            lora = xllamacpp.CommonAdapterLoraInfo()
            lora.path, lora.scale = str(adapter), 1.0
            parameters.lora_adapters = [lora]
        parameters.n_parallel, parameters.warmup = 1, False
        parameters.n_ctx = 256 * math.ceil(settings.longest / 256)
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
        parameters.cache_ram_mib = 0  # Only the last prompt stays in memory,
        parameters.verbosity = -1  # and no prompt reaches a log.
        # llama.cpp's server always listens on a port of 127.0.0.1, although only this process calls it.  A random key
        # locks the port for all others.
        parameters.api_keys = [secrets.token_hex(32)]
        parameters.endpoint_slots = parameters.endpoint_props = parameters.endpoint_metrics = False
        try:
            self._server: Any = xllamacpp.Server(parameters)
        except Exception as error:  # Its errors derive from Exception directly.
            reason, *_ = str(error).split("\n", 1)
            raise BadBundle(
                f"llama.cpp cannot load {base.name}: {reason}", code="llama_cannot_load", file=base.name
            ) from None
        self._settings = settings

    def write(self, prompt: list[int]) -> GeneratedText:
        """Return the text for a prompt of token ids.  Raises RuntimeError for a prompt longer than the context."""
        reply: dict[str, Any] = self._server.handle_completions(
            {
                "prompt": prompt,
                "n_predict": self._settings.feedback_tokens,
                "temperature": 0.0,
                "cache_prompt": True,  # Responses to the same item share the question.
            }
        )
        if "choices" not in reply:
            raise RuntimeError("llama.cpp could not answer the prompt")
        [choice] = reply["choices"]
        text: str = choice["text"].strip()
        if choice["finish_reason"] == "length":
            text = whole_sentences(text)
        return GeneratedText(text, int(reply["usage"]["completion_tokens"]))
