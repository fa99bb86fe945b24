"""Words and units of the table of costs."""

from conceptdepth.commands.costs_table import amount, count, size


def test_words_for_what_is_known_in_part():
    assert amount("5", known=True, at_least=False) == "5"
    assert amount("5", known=True, at_least=True) == "5 or more"
    assert amount("0", known=False, at_least=True) == "unknown"
    assert (count(123_456, exact=True), count(123_456, exact=False)) == ("123,456", "~123,000")
    assert [size(number) for number in (1_500_000, 2.5e9, 3e12)] == ["1.5 MB", "2.5 GB", "3.0 TB"]
