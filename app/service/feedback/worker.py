"""The process that runs the language model: prompts in on standard input, texts out on standard output, a line each.

python -m app.service.feedback.worker BASE ADAPTER SETTINGS THREADS   (ADAPTER may be empty)

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

    def reply(**fields: object) -> None:
        replies.write(json.dumps(fields) + "\n")
        replies.flush()

    try:
        limits = PromptSettings.model_validate_json(settings)
        model = LanguageModel(Path(base), Path(adapter) if adapter else None, limits, int(threads))
    except Exception as error:  # whatever it is, the service says it: nobody reads this process's log
        reply(error=str(error).partition("\n")[0] or type(error).__name__)
        return
    reply()
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            written = model.write(asked["prompt"])
        except RuntimeError:
            reply(job=asked["job"])
        else:
            reply(job=asked["job"], text=written.text, tokens=written.tokens)


if __name__ == "__main__":
    main(*sys.argv[1:])
