from training.common.batches import shuffled_batches, sorted_batches

LENGTHS = [(7 * number) % 40 + 1 for number in range(250)]


def test_an_epoch_holds_every_row_once() -> None:
    batches = shuffled_batches(LENGTHS, 8, seed=1)

    assert sorted(row for batch in batches for row in batch) == list(range(250))
    assert max(map(len, batches)) == 8


def test_the_same_seed_gives_the_same_epoch_and_another_another() -> None:
    assert shuffled_batches(LENGTHS, 8, seed=1) == shuffled_batches(LENGTHS, 8, seed=1)
    assert shuffled_batches(LENGTHS, 8, seed=1) != shuffled_batches(LENGTHS, 8, seed=2)


def test_little_of_a_batch_is_padding() -> None:
    def padded(batches: list[list[int]]) -> float:
        return sum(len(batch) * max(LENGTHS[row] for row in batch) for batch in batches) / sum(LENGTHS)

    unsorted = [list(range(start, min(start + 8, 250))) for start in range(0, 250, 8)]

    assert padded(shuffled_batches(LENGTHS, 8, seed=1)) < 1.2 < 1.6 < padded(unsorted)
    assert padded(sorted_batches(LENGTHS, 8)) < 1.1
