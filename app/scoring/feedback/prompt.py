"""Build the prompts of a language model.  Training and service both call this module, so they cannot disagree."""

from pydantic import Field
from tokenizers import Tokenizer
from tokenizers.models import BPE, Unigram

from app.scoring.bundle_files import FrozenModel
from app.scoring.item import Item


class PromptSettings(FrozenModel):
    """Settings of prompts.  A prompt is `before`, question, reference, response, score and `after`, in this order."""

    before: str = Field(description="Text of the chat template before a user's message.")
    after: str = Field(description="Text of the chat template between a user's message and the answer.")
    end: int = Field(ge=0, description="Id of the token that ends an answer.")
    question_tokens: int = Field(ge=8, le=4096, description="Tokens of the question; the rest is cut.")
    reference_tokens: int = Field(ge=0, le=4096, description="Tokens of the references; the rest is cut.")
    response_tokens: int = Field(ge=8, le=4096, description="Tokens of the response; the rest is cut.")
    feedback_tokens: int = Field(
        ge=8, le=1024, description="Tokens of the feedback; longer texts end after the last whole sentence."
    )

    @property
    def longest(self) -> int:
        """Return the tokens of the longest prompt with its feedback.  Template and score take at most 512."""
        return sum((self.question_tokens, self.reference_tokens, self.response_tokens, self.feedback_tokens, 512))


class PromptBuilder:
    """Builds prompts as token ids.  The score in the prompt improves the feedback (Katuka et al. 2024)."""

    def __init__(self, tokenizer: bytes, settings: PromptSettings) -> None:
        """Load the tokenizer of the language model from the content of its tokenizer.json."""
        self.settings = settings
        self._template = _untruncated(tokenizer)
        self._content = _untruncated(tokenizer)
        self._content.encode_special_tokens = True  # A special token in a learner's text is plain text.

    def ids(self, item: Item, response: str, value: float) -> list[int]:
        """Return the prompt for one scored response.

        Text that all responses to an item share comes first, so that the model reads it once.
        """
        limits = self.settings
        references = " ".join(item.references)
        question_ids = self._text_ids(f"Question: {item.prompt}")
        reference_ids = self._text_ids(f"\nReference answer: {references}") if item.references else []
        response_ids = self._text_ids(f"\nAnswer: {response}")
        score = item.in_words(value)
        return [
            *self._template_ids(limits.before),
            *question_ids[: limits.question_tokens],
            *reference_ids[: limits.reference_tokens],
            *response_ids[: limits.response_tokens],
            *self._text_ids(f"\nScore: {score}\nFeedback:"),
            *self._template_ids(limits.after),
        ]

    def feedback_ids(self, text: str) -> list[int]:
        """Return a feedback text for training: at most `feedback_tokens` ids, the end token included."""
        ids = [*self._text_ids(text), self.settings.end]
        return ids[: self.settings.feedback_tokens]

    def _template_ids(self, text: str) -> list[int]:
        return list(self._template.encode(text, add_special_tokens=False).ids)

    def _text_ids(self, text: str) -> list[int]:
        return list(self._content.encode(text, add_special_tokens=False).ids)


def _untruncated(content: bytes) -> Tokenizer:
    tokenizer = Tokenizer.from_buffer(content)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    if isinstance(tokenizer.model, BPE | Unigram):
        tokenizer.model._resize_cache(0)  # The cache would keep learners' words; see app.scoring.featurizer.
    return tokenizer
