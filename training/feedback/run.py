"""The training of a feedback model: data → verdict reader → adapter → texts for dev → bundle.

The files that will serve write the texts for dev.
"""

import importlib.metadata
import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers import AutoTokenizer

from app.scoring.bundle_files import write_atomically
from app.scoring.feedback.bundle import (
    ADAPTER,
    BASE,
    FeedbackBundle,
    FeedbackFiles,
    FeedbackProvenance,
)
from app.scoring.feedback.model import LanguageModel
from app.scoring.feedback.prompt import PromptBuilder, PromptSettings
from app.scoring.feedback.screen import FeedbackScreen
from training.common.cache import key_of
from training.common.progress import console, track
from training.errors import NoWeights
from training.feedback.baselines import commonest, nearest
from training.feedback.config import FeedbackConfig
from training.feedback.data import FeedbackData, MarkedFeedback, says_more
from training.feedback.export import finish, version_now, write_parts
from training.feedback.figures import FeedbackFigures, feedback_card, feedback_figures
from training.feedback.tuning import tuned
from training.feedback.verdicts import Reader, verdict_reader
from training.teacher.base_models import fingerprint, resolve
from training.teacher.gguf import unpacked

INSTRUCTION = "Tell the learner in one or two sentences what is right and what is wrong in the answer."
SOFTWARE = ("scorelet", "torch", "transformers", "peft", "gguf", "xllamacpp")


@dataclass(frozen=True, slots=True)
class MadeFeedback:
    """A feedback bundle with its figures on dev: of the model first, then of the baselines; none without dev rows."""

    files: FeedbackFiles
    figures: list[FeedbackFigures]


def make_feedback(data: FeedbackData, models: Path, name: str, config: FeedbackConfig, cache: Path) -> MadeFeedback:
    """Train a feedback model and write it to `models/_feedback/<name>/<version>`.  A killed run resumes."""
    base = _gguf(config.base)
    source = unpacked(base)
    tokenizer = (source / "tokenizer.json").read_bytes()
    prompter = PromptBuilder(tokenizer, _prompt_settings(source, config))
    reader = verdict_reader(data.train, config.reader, cache)
    console.print(f"the verdict reader is right on {reader.accuracy:.1%} of held-out feedback by raters")
    settings = config.model_dump(exclude={"reader"}), fingerprint(config.base), prompter.settings.model_dump()
    key = key_of(data.train_sha256, settings)
    adapter = None
    if config.tuning != "none":
        adapter = tuned(str(source), data.train, prompter, config, key, cache)
    with tempfile.TemporaryDirectory() as temporary:
        staged = Path(temporary)
        write_parts(staged, base, tokenizer, adapter, reader)
        texts = cache / "feedback" / key_of("texts", key, data.sha256)
        figures = _measure(staged, data, prompter, reader, texts) if data.dev else []
        of_model = figures[0].as_dict() if figures else {}
        version, made_at = version_now(key_of(key, reader.files.student.hex()))
        bundle = FeedbackBundle(
            name=name,
            version=version,
            items=data.items,
            prompt=prompter.settings,
            verdict=reader.settings,
            figures=of_model,
            provenance=FeedbackProvenance(
                created_at=made_at,
                data_sha256=data.sha256,
                base=config.base,
                config=config.model_dump(mode="json"),
                software={name: importlib.metadata.version(name) for name in SOFTWARE},
            ),
            sha256={},
        )
        return MadeFeedback(finish(staged, models, bundle, feedback_card(bundle, data, reader, figures)), figures)


def _gguf(base: str) -> Path:
    """Return the base model's GGUF file, which the service will run.  Raises NoWeights for another format."""
    source = resolve(base)
    if not source.endswith(".gguf"):
        raise NoWeights(
            f"the service cannot run the base model {base!r}: name smollm2 or a .gguf file",
            code="base_not_gguf",
            base=base,
        )
    return Path(source)


def _prompt_settings(source: Path, config: FeedbackConfig) -> PromptSettings:
    tokenizer = AutoTokenizer.from_pretrained(source)
    mark = "\x1a"
    before, after = f"{tokenizer.bos_token or ''}{INSTRUCTION}\n", "\n"
    if tokenizer.chat_template:
        messages = [{"role": "user", "content": f"{INSTRUCTION}\n{mark}"}]
        filled = str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
        before, _, after = filled.partition(mark)
    return PromptSettings(
        before=before,
        after=after,
        end=tokenizer.eos_token_id,
        question_tokens=config.question_tokens,
        reference_tokens=config.reference_tokens,
        response_tokens=config.response_tokens,
        feedback_tokens=config.feedback_tokens,
    )


def _measure(
    staged: Path, data: FeedbackData, prompter: PromptBuilder, reader: Reader, kept: Path
) -> list[FeedbackFigures]:
    """Return figures of the model's texts, of the texts that learners would see, of the baselines, and of raters."""
    known, more = data.train, says_more(data.dev, data.train)
    texts = _texts(staged, data.dev, prompter, kept)
    screen = FeedbackScreen(reader.network(), reader.settings.item, reader.settings.threshold)
    bank = commonest(known, data.dev)
    objections = [
        screen.objection(text, row.marked.text, row.item, row.marked.value)
        for text, row in zip(texts, data.dev, strict=True)
    ]
    shown = [
        text if objection is None else instead for text, objection, instead in zip(texts, objections, bank, strict=True)
    ]
    sources = {
        "generated": texts,
        "shown (the commonest where the screen objects)": shown,
        "commonest of item and score": bank,
        "nearest response's": nearest(known, data.dev),
        "raters' own": [row.feedback for row in data.dev],
    }
    reasons: dict[str, int] = Counter(objection for objection in objections if objection is not None)
    objections_to = {"generated": reasons}
    return [
        feedback_figures(title, data.dev, source, more, reader, objections_to.get(title, {}))
        for title, source in sources.items()
    ]


def _texts(staged: Path, rows: Sequence[MarkedFeedback], prompter: PromptBuilder, kept: Path) -> list[str]:
    """Return the model's text for each row; each text is cached once it is written."""
    texts: dict[str, str] = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
    missing = [row for row in rows if row.marked.id not in texts]
    if missing:
        adapter = staged / ADAPTER
        existing = adapter if adapter.is_file() else None
        model = LanguageModel(staged / BASE, existing, prompter.settings)
        kept.parent.mkdir(parents=True, exist_ok=True)
        for row in track(missing, "feedback for dev", len(missing)):
            prompt = prompter.ids(row.item, row.marked.text, row.marked.value)
            texts[row.marked.id] = model.write(prompt).text
            write_atomically(kept, json.dumps(texts, ensure_ascii=False))
    return [texts[row.marked.id] for row in rows]
