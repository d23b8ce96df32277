"""The language model itself, run by llama.cpp on the processor: prompt in, text out.  Needs the extra `feedback`."""

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.scoring.errors import BadBundle
from app.scoring.feedback.prompt import PromptSettings
from app.scoring.text import whole_sentences


@dataclass(frozen=True, slots=True)
class GeneratedText:
    text: str
    tokens: int  # of the text


class LanguageModel:
    """One text at a time, always the most probable next token."""

    def __init__(self, base: Path, adapter: Path | None, settings: PromptSettings, threads: int = 1) -> None:
        """Raises ModuleNotFoundError without the extra, and BadBundle for files that llama.cpp cannot take."""
        import xllamacpp

        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(base)
        if adapter is not None:
            learnt = xllamacpp.CommonAdapterLoraInfo()
            learnt.path, learnt.scale = str(adapter), 1.0
            parameters.lora_adapters = [learnt]
        parameters.n_parallel, parameters.warmup = 1, False
        parameters.n_ctx = 256 * -(-settings.longest // 256)
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
        parameters.cache_ram_mib = 0  # no more than the last prompt is kept, in memory
        parameters.verbosity = -1  # and none is written to a log
        # llama.cpp's server listens on a port of 127.0.0.1 whether it is wanted or not.  Only calls within this process
        # are: to others it is locked by a key that nobody knows.
        parameters.api_keys = [secrets.token_hex(32)]
        parameters.endpoint_slots = parameters.endpoint_props = parameters.endpoint_metrics = False
        try:
            self._server: Any = xllamacpp.Server(parameters)
        except Exception as error:  # its own classes derive from Exception directly
            raise BadBundle(
                f"llama.cpp cannot load {base.name}: {str(error).partition(chr(10))[0]}",
                code="llama_cannot_load",
                file=base.name,
            ) from None
        self._settings = settings

    def write(self, prompt: list[int]) -> GeneratedText:
        """Raises RuntimeError for a prompt that does not fit."""
        reply: dict[str, Any] = self._server.handle_completions(
            {
                "prompt": prompt,
                "n_predict": self._settings.feedback_tokens,
                "temperature": 0.0,
                "cache_prompt": True,  # of two responses to an item the question is read once
            }
        )
        if "choices" not in reply:
            raise RuntimeError("llama.cpp could not answer")
        [choice] = reply["choices"]
        text: str = choice["text"].strip()
        if choice["finish_reason"] == "length":
            text = whole_sentences(text)
        return GeneratedText(text, int(reply["usage"]["completion_tokens"]))
