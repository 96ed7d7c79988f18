"""The text of an answer while its tokens arrive."""

from .tokenizer import Tokenizer

UNFINISHED = "\ufffd"


class Stream:
    """Gives the text that each token adds; a character of several tokens comes with its last one."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._tokens: list[int] = []
        self.text = ""

    def add(self, token: int) -> str:
        """The new text that `token` completes, perhaps none."""
        self._tokens.append(token)
        text = self._tokenizer.decode(self._tokens)
        if text.endswith(UNFINISHED):
            return ""
        new, self.text = text[len(self.text) :], text
        return new

    def finish(self) -> str:
        """What is left: a character that never became whole, as U+FFFD."""
        text = self._tokenizer.decode(self._tokens)
        new, self.text = text[len(self.text) :], text
        return new
