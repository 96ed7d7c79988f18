"""Text that ends before a stop string, found in time that grows with the text alone."""

from collections.abc import Sequence


class _Match:
    """How much of one stop string the text ends with: Knuth, Morris and Pratt's search, a character at a time.

    The table of the string's own borders is filled only as far as the text has matched, so that a long string costs
    nothing until its beginning comes.
    """

    def __init__(self, stop: str) -> None:
        self.stop, self.length = stop, 0
        self._borders = [0]

    def add(self, character: str) -> bool:
        """Whether the string is complete now."""
        self.length = self._after(self.length, character)
        if self.length > len(self._borders):
            self._borders.append(self._after(self._borders[-1], self.stop[self.length - 1]))
        return self.length == len(self.stop)

    def _after(self, length: int, character: str) -> int:
        while length and self.stop[length] != character:
            length = self._borders[length - 1]
        return length + (self.stop[length] == character)


class StopStrings:
    """Text that ends before the first of some strings; what may be the beginning of one is held back."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._matches, self._held = [_Match(stop) for stop in stops], ""
        self.reached: str | None = None

    def add(self, text: str) -> str:
        """The text that is certain now. Of strings that are complete at the same place the longest ends it."""
        if not self._matches or self.reached is not None:
            return "" if self.reached is not None else text
        for number, character in enumerate(text):
            complete = [match.stop for match in self._matches if match.add(character)]
            if complete:
                self.reached = max(complete, key=len)
                text, self._held = self._held + text[: number + 1], ""
                return text[: len(text) - len(self.reached)]
        text = self._held + text
        kept = len(text) - max(match.length for match in self._matches)
        self._held = text[kept:]
        return text[:kept]

    def finish(self) -> str:
        """What was held back, when no more comes."""
        held, self._held = self._held, ""
        return held
