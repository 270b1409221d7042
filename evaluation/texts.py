"""Texts and names that say the same, but for how they are written."""

import re
import unicodedata
from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array
from sklearn.feature_extraction.text import CountVectorizer

LONG_TEXT = 5
"""Words from which on two people hardly say the same by chance; of MELD's test texts that occur in train, almost all
are shorter."""


SIMILAR = 0.7
"""Likeness of two nearly equal texts: one word of ten is another, or one more."""

FREQUENT = 200
"""Texts in which a sequence of characters may be before it says nothing."""

BLOCK = 2048
"""Texts compared at once."""


def bare_text(text: str) -> str | None:
    """A text without case, punctuation and blanks, as "yes" for "Yes!"; None of nothing but these."""
    kept = (c for c in unicodedata.normalize("NFKC", text).casefold() if unicodedata.category(c)[0] not in "PZC")
    return "".join(kept) or None


def similar_texts(known: Sequence[str], asked: Sequence[str]) -> list[tuple[int, int, float]]:
    """Texts of `asked` that are nearly one of `known`: place in `asked`, in `known`, and likeness, `SIMILAR`..1.

    The likeness is Jaccard's of their sequences of four characters (shingles; Broder, "On the resemblance and
    containment of documents", 1997), of those that are not in hundreds of texts.

    Args:
        known, asked: texts as `bare_text` gives them.
    """
    if not known or not asked:
        return []
    vectors = CountVectorizer(analyzer="char", ngram_range=(4, 4), binary=True, lowercase=False)
    counts = csr_array(vectors.fit_transform([*known, *asked]), dtype=np.int32)
    counts = counts[:, np.flatnonzero(counts.sum(axis=0) <= FREQUENT)]
    first, second = counts[: len(known)], counts[len(known) :]
    sizes = [part.sum(axis=1) for part in (first, second)]
    found = []
    for start in range(0, len(asked), BLOCK):
        shared = (second[start : start + BLOCK] @ first.T).tocoo()
        rows = shared.row + start
        likeness = shared.data / np.maximum(sizes[1][rows] + sizes[0][shared.col] - shared.data, 1)
        best = likeness >= SIMILAR
        found += zip(rows[best].tolist(), shared.col[best].tolist(), likeness[best].tolist(), strict=True)
    return sorted({row: (row, other, like) for row, other, like in sorted(found, key=lambda f: f[2])}.values())


def plain_name(name: object) -> str:
    """A name without what people write differently: "p7" for "P 07", "P-07", "p07" and "P7"; "p1_11" for "P1 11"."""
    parts = re.findall(r"\d+|[^\W\d_]+", unicodedata.normalize("NFKC", str(name)).casefold())
    parts = [part.lstrip("0") or "0" if part.isdigit() else part for part in parts]
    return re.sub(r"(?<=\d) (?=\d)", "_", " ".join(parts)).replace(" ", "")
