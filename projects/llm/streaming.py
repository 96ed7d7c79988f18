"""The text of an answer while its tokens arrive."""

from collections.abc import Sequence

from .tokenizer import Tokenizer

UNFINISHED = "\ufffd"
MOST_UNFINISHED = 8  # tokens that a character may take; more are bytes that are none


class Stream:
    """Gives the text that each token adds; a character of several tokens comes with its last one.

    `before` are the tokens that the answer goes on behind: SentencePiece drops the first space of a text, and an
    answer's is not the first. Each token costs as much as the few before it, however long the answer is.
    """

    def __init__(self, tokenizer: Tokenizer, before: Sequence[int] = ()) -> None:
        self._tokenizer = tokenizer
        self._tokens = list(before[-MOST_UNFINISHED:])
        self._read = len(self._tokens)  # tokens whose text was given, and from which the next are told apart
        self.text = ""

    def add(self, token: int) -> str:
        """The new text that `token` completes, perhaps none."""
        self._tokens.append(token)
        return self._take(len(self._tokens) - self._read > MOST_UNFINISHED)

    def finish(self) -> str:
        """What is left: a character that never became whole, as U+FFFD."""
        return self._take(True)

    def _take(self, also_unfinished: bool) -> str:
        known = self._tokenizer.decode(self._tokens[: self._read])
        text = self._tokenizer.decode(self._tokens)
        if text.endswith(UNFINISHED) and not also_unfinished:
            return ""
        new = text[len(known) :]
        self._tokens = self._tokens[self._read :] or self._tokens
        self._read = len(self._tokens)
        self.text += new
        return new
