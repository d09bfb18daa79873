"""A language model small enough to read: it counts which word followed which two words, and writes by drawing from what it counted.

This is an n-gram model. It knows nothing but `corpus.txt`, it is trained in some milliseconds when the application starts, and it
is here because it behaves like a large one towards the code around it: tokens come one after the other, and one can stop in
between.
"""

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator

__all__ = ["NGramModel"]

TOKEN = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*|[.,;:!?]")
SENTENCE_ENDS = frozenset(".!?")
PUNCTUATION = frozenset(".,;:!?")
# Words that people ask with, not about.
ASKING = frozenset(
    {"about", "and", "are", "can", "does", "for", "from", "have", "how", "like", "much", "tell", "that", "the", "them", "they"}
    | {"this", "what", "when", "where", "which", "who", "why", "will", "with", "you"}
)
START = ""  # stands before the first word of a sentence

Context = tuple[str, ...]


class NGramModel:
    """Trained on one text, never changed afterwards, so that any number of requests can generate from it at once.

    Args:
        text: what it learns from.
        order: how many words are looked at together. With 3, each word is drawn by the two before it; with more, a small text would
            be recited, with fewer it becomes word salad.
    """

    def __init__(self, text: str, order: int = 3) -> None:
        self._order = order
        self._followers: defaultdict[Context, Counter[str]] = defaultdict(Counter)
        self._contexts_with: defaultdict[str, list[Context]] = defaultdict(list)  # where a sentence can begin, to be about a word
        for sentence in _sentences(text):
            self._learn(sentence)

    def generate(self, prompt: str, *, max_tokens: int, temperature: float = 1.0, seed: int | None = None) -> Iterator[str]:
        """Tokens, with the spaces between them; joined they are the answer.

        Args:
            prompt: the answer begins with a sentence of the text that shares the prompt's rarest word.
            max_tokens: the answer ends here, or at the last end of a sentence close before.
            temperature: below 1 the likely words become likelier, above 1 the unlikely ones.
            seed: the same seed and prompt give the same answer.
        """
        dice = random.Random(seed)
        opening = self._opening(prompt, dice)
        words: list[str] = []
        while len(words) < max_tokens:
            word = opening[len(words)] if len(words) < len(opening) else self._draw(words, temperature, dice)
            words.append(word)
            yield word if len(words) == 1 or word in PUNCTUATION else f" {word}"
            if word in SENTENCE_ENDS and len(words) > max_tokens * 0.7:
                return  # rather a little short than broken off in the middle of a sentence

    def _learn(self, words: list[str]) -> None:
        padded = [START] * (self._order - 1) + words
        for at in range(self._order - 1, len(padded)):
            for length in range(self._order):  # the shorter contexts are for when the longer is unknown
                self._followers[tuple(padded[at - length : at])][padded[at]] += 1
        for word in set(words):
            self._contexts_with[word.lower()].append(tuple(words[: words.index(word) + 1]))

    def _opening(self, prompt: str, dice: random.Random) -> Context:
        """The beginning of a sentence, up to the rarest word that the prompt and the text have in common."""
        asked = {word.lower() for word in TOKEN.findall(prompt)} - ASKING
        known = sorted(word for word in asked if word in self._contexts_with and len(word) > 2)
        if not known:
            return ()
        return dice.choice(self._contexts_with[min(known, key=lambda word: len(self._contexts_with[word]))])

    def _draw(self, words: list[str], temperature: float, dice: random.Random) -> str:
        # A sentence begins without a past: what ended before does not matter.
        start = next((at + 1 for at in range(len(words) - 1, -1, -1) if words[at] in SENTENCE_ENDS), 0)
        past = [START] * (self._order - 1) + words[start:]
        for length in range(self._order - 1, -1, -1):
            if followers := self._followers.get(tuple(past[len(past) - length :])):
                weights = [count ** (1 / temperature) for count in followers.values()]
                return dice.choices(list(followers), weights)[0]
        raise AssertionError("every text has words, and the empty context is followed by all of them")


def _sentences(text: str) -> Iterator[list[str]]:
    sentence: list[str] = []
    for word in TOKEN.findall(text):
        sentence.append(word)
        if word in SENTENCE_ENDS:
            yield sentence
            sentence = []
    if sentence:
        yield sentence
