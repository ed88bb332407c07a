"""The words of titles, as rows of an embedding table."""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Final

import numpy as np

from steps.recommender.vocabulary import OOV_ROW, Rows

FEWEST_TITLES: Final = 3
"""In how many titles a word must occur to be known: what it says of one could not be told from the title itself."""

_YEAR = re.compile(r"\(\d{4}\)\s*$")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class TitleWords:
    """The words that several titles share, in the order of their embedding rows, of which the first is 1."""

    words: tuple[str, ...]
    of_titles: Rows
    """The known words of each title, int32 [titles + 1, the most of one]; 0 fills up, and the unknown has none."""

    @classmethod
    def of(cls, titles: tuple[str, ...]) -> "TitleWords":
        """The words of the titles of a vocabulary."""
        texts = [_words(title) for title in titles]
        counts = Counter(word for text in texts for word in set(text))
        words = tuple(sorted(word for word, count in counts.items() if count >= FEWEST_TITLES))
        rows = {word: row for row, word in enumerate(words, start=1)}
        known = [[rows[word] for word in text if word in rows] for text in texts]
        of_titles = np.full((len(titles) + 1, max(map(len, known), default=0) or 1), OOV_ROW, np.int32)
        for title, found in enumerate(known, start=1):
            of_titles[title, : len(found)] = found
        return cls(words, of_titles)


def _words(title: str) -> list[str]:
    return _WORD.findall(_YEAR.sub("", title).lower())
