from retort import _results


def rows(columns):
    """What becomes of a trials.csv of one trial with these."""
    return _results._rows(",".join(columns) + "\r\n" + ",".join(columns.values()) + "\r\n")


def test_words_stay_words_and_numbers_become_numbers():
    words = {
        "config": '"1 block, 2 layers"', "outcome": "failed", "reason": '"a ""b"", c"', "hash": "0123", "file": "7",
        "effort": "full", "diverged": '"distill, epoch 3"', "recipe": "1e5",
    }
    numbers = {"number": "7", "accuracy_int8": "0.875", "parent": "", "seed": "18446744073709551615"}
    assert rows(words | numbers) == [{
        "config": "1 block, 2 layers", "outcome": "failed", "reason": 'a "b", c', "hash": "0123", "file": "7",
        "effort": "full", "diverged": "distill, epoch 3", "recipe": "1e5",
        "number": 7, "accuracy_int8": 0.875, "parent": None, "seed": 18446744073709551615,
    }]


def test_an_unknown_column_may_be_a_word():
    assert rows({"number": "1", "new": "some words"}) == [{"number": 1, "new": "some words"}]
