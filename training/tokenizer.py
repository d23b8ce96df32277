"""The student's tokenizer, learnt once from training text.

It knows no language: pieces of Unicode words (byte-pair encoding, Sennrich et al. 2016), digits one by one.  A slip of
spelling keeps most of its pieces, where a list of words would lose the word.
"""

from collections.abc import Iterable

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from app.scoring.featurizer import SPECIAL, START, UNKNOWN


def learn_tokenizer(texts: Iterable[str], vocabulary: int) -> bytes:
    """The content of tokenizer.json: at most `vocabulary` pieces, START before every response."""
    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence(
        # İ in lower case is i and a combining dot, which no one types: the dot goes.
        [normalizers.NFKC(), normalizers.Lowercase(), normalizers.Replace("i\u0307", "i")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.BertPreTokenizer(),
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.Metaspace(prepend_scheme="always"),  # marks where a word begins
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        limit_alphabet=vocabulary // 2,  # of a script with thousands of signs the commonest
        special_tokens=list(SPECIAL),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A", special_tokens=[(START, SPECIAL.index(START))]
    )
    return tokenizer.to_str().encode()
