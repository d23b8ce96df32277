"""The student's tokenizer, learnt from training text.

It knows no language: it cuts Unicode words into pieces (byte-pair encoding, Sennrich et al. 2016) and numbers into
digits.  A misspelt word keeps most of its pieces, where a list of words would lose the word.
"""

from collections import Counter
from collections.abc import Iterable

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from app.scoring.featurizer import SPECIAL, START, UNKNOWN


def learn_tokenizer(texts: Iterable[str], vocabulary: int) -> bytes:
    """Return the content of tokenizer.json: at most `vocabulary` pieces, and START before every response."""
    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence(
        # İ in lower case is i and a combining dot, which nobody types: the dot is removed.
        [normalizers.NFKC(), normalizers.Lowercase(), normalizers.Replace("i\u0307", "i")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.BertPreTokenizer(),
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.Metaspace(prepend_scheme="always"),  # marks where a word begins
        ]
    )
    texts = list(texts)
    alphabet = _alphabet(tokenizer, texts, vocabulary // 2)  # a script may have thousands of characters
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        special_tokens=list(SPECIAL),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A", special_tokens=[(START, SPECIAL.index(START))]
    )
    return tokenizer.to_str().encode()


def _alphabet(tokenizer: Tokenizer, texts: Iterable[str], size: int) -> list[str]:
    """Return the commonest characters, of equally common characters the first in Unicode.

    The trainer would take any of these, and a tokenizer would differ from run to run.
    """
    counts: Counter[str] = Counter()
    for text in texts:
        normal = tokenizer.normalizer.normalize_str(text)
        for piece, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normal):
            counts.update(piece)
    ranked = sorted(counts, key=lambda character: (-counts[character], character))
    return ranked[:size]
