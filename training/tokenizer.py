"""The student's tokenizer, learnt once from training text.  It knows no language: Unicode words, digits one by one."""

from collections.abc import Iterable

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from app.scoring.featurizer import SPECIAL, START, UNKNOWN


def learn_tokenizer(texts: Iterable[str], vocabulary: int) -> bytes:
    """The content of tokenizer.json: at most `vocabulary` words, START before every response."""
    tokenizer = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.BertPreTokenizer(), pre_tokenizers.Digits(individual_digits=True)]
    )
    trainer = trainers.WordLevelTrainer(
        vocab_size=vocabulary, min_frequency=2, special_tokens=list(SPECIAL), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A", special_tokens=[(START, SPECIAL.index(START))]
    )
    return tokenizer.to_str().encode()
