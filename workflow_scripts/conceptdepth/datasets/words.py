"""What counts as a word, for the data audit and for baselines that see words alone."""

WORD = r"(?u)\b\w+\b"
"""One letter is enough, unlike in scikit-learn's default, which would not see "I" or "a"."""
