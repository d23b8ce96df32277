"""The process that runs the language model: prompts in on standard input, texts out on standard output, a line each.

python -m app.feedback.worker BASE ADAPTER SETTINGS THREADS   (ADAPTER may be empty)

It is a process of its own so that neither its load nor its end can touch a score.  It reads ids and says nothing of
learners to any log.
"""

import json
import os
import sys
from pathlib import Path

from app.scoring.feedback.model import LanguageModel
from app.scoring.feedback.prompt import PromptSettings

NICENESS = 10  # scores go first


def main(base: str, adapter: str, settings: str, threads: str) -> None:
    os.nice(NICENESS)
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whatever the library prints is no reply
    limits = PromptSettings.model_validate_json(settings)
    model = LanguageModel(Path(base), Path(adapter) if adapter else None, limits, int(threads))
    for line in sys.stdin:
        try:
            written = model.write(json.loads(line))
        except RuntimeError:
            reply: dict[str, object] = {"text": None, "tokens": 0}
        else:
            reply = {"text": written.text, "tokens": written.tokens}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
