"""Texts that say the same, but for how they are written."""

import unicodedata

LONG_TEXT = 5
"""Words from which on two people hardly say the same by chance; of MELD's test texts that occur in train, almost all
are shorter."""


def bare_text(text: str) -> str | None:
    """A text without case, punctuation and blanks, as "yes" for "Yes!"; None of nothing but these."""
    kept = (c for c in unicodedata.normalize("NFKC", text).casefold() if unicodedata.category(c)[0] not in "PZC")
    return "".join(kept) or None
