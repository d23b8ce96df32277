"""What a language model reads before it writes feedback.  Training and serving both call this: they cannot disagree."""

from pydantic import BaseModel, ConfigDict, Field
from tokenizers import Tokenizer
from tokenizers.models import BPE, Unigram

from app.scoring.item import Item


class PromptSettings(BaseModel):
    """How a prompt is put together: `before`, question, reference, response, score, `after`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    before: str = Field(description="What the base's chat template puts before what a user says.")
    after: str = Field(description="What it puts behind it, up to where the answer begins.")
    end: int = Field(ge=0, description="Id of the token that ends an answer.")
    question_tokens: int = Field(ge=8, le=4096, description="Longer questions are cut, the start kept.")
    reference_tokens: int = Field(ge=0, le=4096, description="Longer references are cut, the start kept.")
    response_tokens: int = Field(ge=8, le=4096, description="Longer responses are cut, the start kept.")
    feedback_tokens: int = Field(ge=8, le=1024, description="Longer feedback is cut at its last whole sentence.")

    @property
    def longest(self) -> int:
        """Tokens of the longest prompt with its feedback; a score in words and a template are short."""
        return self.question_tokens + self.reference_tokens + self.response_tokens + self.feedback_tokens + 512


class PromptBuilder:
    """Prompts as ids.  The score is part of them: with it the feedback is better (Katuka et al. 2024)."""

    def __init__(self, tokenizer: bytes, settings: PromptSettings) -> None:
        """tokenizer: the content of the base's tokenizer.json."""
        self.settings = settings
        self._template = _untruncated(tokenizer)
        self._content = _untruncated(tokenizer)
        self._content.encode_special_tokens = True  # what a learner writes is text, whatever it looks like

    def ids(self, item: Item, response: str, value: float) -> list[int]:
        """The prompt for one scored response.  What all responses to an item share comes first."""
        limits = self.settings
        reference = f"\nReference answer: {' '.join(item.references)}" if item.references else ""
        parts = [
            self._marks(limits.before),
            self._words(f"Question: {item.prompt}")[: limits.question_tokens],
            self._words(reference)[: limits.reference_tokens],
            self._words(f"\nAnswer: {response}")[: limits.response_tokens],
            self._words(f"\nScore: {item.in_words(value)}\nFeedback:"),
            self._marks(limits.after),
        ]
        return [token for part in parts for token in part]

    def feedback_ids(self, text: str) -> list[int]:
        """Feedback as it is learnt: with its end, unless it is too long and cut."""
        return [*self._words(text), self.settings.end][: self.settings.feedback_tokens]

    def _marks(self, text: str) -> list[int]:
        return list(self._template.encode(text, add_special_tokens=False).ids)

    def _words(self, text: str) -> list[int]:
        return list(self._content.encode(text, add_special_tokens=False).ids)


def _untruncated(content: bytes) -> Tokenizer:
    tokenizer = Tokenizer.from_buffer(content)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    if isinstance(tokenizer.model, BPE | Unigram):
        tokenizer.model._resize_cache(0)  # it keeps words of learners, up to 10,000
    return tokenizer
