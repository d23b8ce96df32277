import pytest

from app.scoring.item import Item
from training.config import Phrases
from training.data.augment import augmented
from training.data.word_units import gap_of, units
from training.evaluation.attacks import attacks

CHINESE = ["暖空气上升，冷空气下沉。", "因为密度小，所以往上走。"]


@pytest.mark.parametrize(
    ("texts", "gap"),
    [
        (["the air rises"], " "),
        (["Donaudampfschifffahrtsgesellschaft"], " "),
        (["따뜻한 공기는 올라간다"], " "),
        (CHINESE, ""),
        (["あたたかい空気はのぼる"], ""),
        (["อากาศร้อน ลอยขึ้น"], ""),
        ([], " "),
    ],
)
def test_a_space_stands_between_units_where_the_writing_has_any(texts: list[str], gap: str) -> None:
    assert gap_of(texts) == gap
    assert [gap.join(units(text, gap)) for text in texts] == [text.replace(" ", gap) for text in texts]


def test_text_without_spaces_is_cut_into_characters() -> None:
    texts = {new.text for new in augmented(CHINESE, 20, seed=0)}
    item = Item(item_id="heat-1", prompt="为什么热空气会上升？", scale="points", max_score=2)
    tried = attacks(item, CHINESE, [], Phrases(), 10, seed=0)

    assert len(texts - {*CHINESE, "".join(CHINESE)}) > 10
    assert not any(" " in text for kind in ("words", "shuffled", "prompt") for text in tried[kind])
    assert not {*tried["shuffled"], *tried["words"]} & set(CHINESE)
    assert {"".join(sorted(text)) for text in tried["shuffled"]} == {"".join(sorted(text)) for text in CHINESE}
