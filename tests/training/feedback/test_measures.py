import numpy as np
import pytest
import sacrebleu
from rouge_score.rouge_scorer import RougeScorer

from training.feedback.measures import likeness

HUMAN = ["The answer is right in every part of it.", "You do not say why the air rises at all."]


def test_raters_texts_have_the_highest_figures() -> None:
    found = likeness(HUMAN, HUMAN)

    assert found.bleu == pytest.approx(100)
    assert (found.rouge_1, found.rouge_2, found.rouge_l) == (1, 1, 1)
    assert found.similarity == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    ("text", "tokenizer"),
    [
        ("Ответ верный, но неполный.", "intl"),
        ("Η απάντηση είναι σωστή.", "intl"),
        ("الإجابة صحيحة ولكنها ناقصة.", "intl"),
        ("उत्तर सही है।", "intl"),
        ("답이 맞습니다.", "intl"),
        ("回答正确，但是不完整。", "zh"),
        ("正しい答えです。", "char"),
        ("คำตอบถูกต้อง", "char"),
        ("Die Lösung ist richtig.", "13a"),
        ("Well done.", "13a"),  # fewer than four words, in all of the corpus
        ("对了", "zh"),
    ],
)
def test_equal_texts_have_the_highest_figures_in_every_script(text: str, tokenizer: str) -> None:
    found = likeness([text], [text])

    assert [found.bleu, found.chrf] == pytest.approx([100, 100])
    assert (found.rouge_1, found.rouge_2, found.rouge_l) == (1, 1, 1)
    assert f"tok:{tokenizer}|" in found.signature


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("Ответ верный, но неполный.", "Ответ верный и полный."),
        ("回答正确，但是不完整。", "回答正确，也很完整。"),
        ("正しい答えです。", "正しい答えではない。"),
    ],
)
def test_shared_words_raise_figures_in_every_script(text: str, reference: str) -> None:
    found = likeness([text], [reference])

    assert found.bleu is not None
    assert found.chrf is not None
    assert found.rouge_l is not None
    assert 0 < found.bleu < 90
    assert 0 < found.chrf < 90
    assert 0 < found.rouge_l < 0.9


def test_english_figures_equal_the_defaults_of_the_libraries() -> None:
    """Published comparisons use them."""
    references = [*HUMAN, "Correct.", "You don't name the 2nd cause: warm air is lighter (and so it rises)."]
    texts = [*HUMAN[::-1], "Correct, well done.", "You name one cause: warm air rises, as it is lighter."]
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)
    rouge = [scorer.score(reference, text) for text, reference in zip(texts, references, strict=True)]

    found = likeness(texts, references)

    assert found.bleu == sacrebleu.corpus_bleu(texts, [references]).score
    assert found.chrf == sacrebleu.corpus_chrf(texts, [references]).score
    own = (found.rouge_1, found.rouge_2, found.rouge_l)
    assert own == tuple(np.mean([row[name].fmeasure for row in rouge]) for name in ("rouge1", "rouge2", "rougeL"))
    assert found.signature == (
        f"BLEU nrefs:1|case:mixed|eff:yes|tok:13a|smooth:exp|version:{sacrebleu.__version__}; "
        f"chrF nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:{sacrebleu.__version__}; "
        "ROUGE words:unicode|stems:porter-ascii|version:0.1.2"
    )


def test_figure_without_anything_to_count_is_undefined() -> None:
    one_word = likeness(["Correct."], ["Correct."])
    assert (one_word.rouge_1, one_word.rouge_2, one_word.rouge_l) == (1, None, 1)

    no_words = likeness(["👍"], ["👍"])
    assert (no_words.rouge_1, no_words.rouge_2, no_words.rouge_l) == (None, None, None)
    assert no_words.bleu == pytest.approx(100)

    nothing = likeness(["Correct."], [" "])
    assert (nothing.bleu, nothing.chrf, nothing.rouge_1) == (None, None, 0)
    assert nothing.as_dict()["bleu"] is None


def test_texts_of_single_words_do_not_lower_rouge_2() -> None:
    assert likeness(["Correct.", HUMAN[0]], ["Correct.", HUMAN[0]]).rouge_2 == 1


def test_empty_text_has_the_lowest_figures() -> None:
    found = likeness(["", ""], HUMAN)

    assert (found.bleu, found.chrf, found.rouge_1, found.rouge_2, found.rouge_l) == (0, 0, 0, 0, 0)


def test_part_of_a_corpus_uses_the_tokenizer_of_the_whole() -> None:
    assert "tok:zh|" in likeness(HUMAN, HUMAN, "zh").signature


def test_each_text_is_compared_with_its_reference() -> None:
    found = likeness(HUMAN[::-1], HUMAN)

    assert found.rouge_l is not None
    assert found.rouge_l < 0.4


def test_rouge_is_mean_f_of_stems() -> None:
    found = likeness(["air rising warm"], ["warm air rises"])

    assert found.rouge_1 == 1
    assert found.rouge_2 == pytest.approx(0.5)  # "air rise" of two pairs each
    assert found.rouge_l == pytest.approx(2 / 3)
    assert found.bleu is not None
    assert found.bleu < 100


def test_similarity_reflects_meaning() -> None:
    near = likeness(["That is correct."], ["The answer is right."]).similarity
    far = likeness(["Penguins live in the south."], ["The answer is right."]).similarity

    assert near > far + 0.3
