"""The process that runs the language model: prompts in on standard input, texts out on standard output, a line each.

python -m app.service.feedback.worker BASE ADAPTER SETTINGS THREADS   (ADAPTER may be empty)

It is a process of its own so that neither its load nor its end can touch a score.  It reads ids and writes nothing
about learners to any log.
"""

import json
import os
import sys
from pathlib import Path
from typing import Protocol

from app.scoring.feedback.model import LanguageModel
from app.scoring.feedback.prompt import PromptSettings

NICENESS = 10  # scores go first


class Reply(Protocol):
    """A function that sends one reply."""

    def __call__(self, **fields: object) -> None: ...


def main(base: str, adapter: str, settings: str, threads: str) -> None:
    """Load the model, then answer one prompt after another until the input ends."""
    os.nice(NICENESS)
    reply = _replies_to_stdout()
    try:
        prompt_settings = PromptSettings.model_validate_json(settings)
        adapter_file = Path(adapter) if adapter else None
        model = LanguageModel(Path(base), adapter_file, prompt_settings, int(threads))
    except Exception as error:  # the service logs it, because nobody reads this process's log
        first_line, _, _ = str(error).partition("\n")
        reply(error=first_line or type(error).__name__)
        return
    reply()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            written = model.write(request["prompt"])
        except RuntimeError:
            reply(job=request["job"])
        else:
            reply(job=request["job"], text=written.text, tokens=written.tokens)


def _replies_to_stdout() -> Reply:
    """Return a function that writes replies, and send all other output to nowhere: a library may print."""
    stdout = sys.stdout.fileno()
    replies = os.fdopen(os.dup(stdout), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stdout)

    def reply(**fields: object) -> None:
        replies.write(json.dumps(fields) + "\n")
        replies.flush()

    return reply


if __name__ == "__main__":
    main(*sys.argv[1:])
