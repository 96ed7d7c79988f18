"""The blocks of the paged cache: who uses which, and which hold a beginning that another text shares.

Paging is https://arxiv.org/abs/2309.06180. A block that is full is known by all the tokens up to its end; a text
that begins the same takes it over instead of computing it again. A block that nobody uses keeps its content until
it is needed for something else, the least recently used first.
"""

import sys
from collections import OrderedDict

Key = tuple[int | None, tuple[int, ...]]  # the block before, and this block's tokens
NEVER = sys.maxsize  # blocks, of which no text has so many


class OutOfBlocks(Exception):
    """No block is free; somebody has to wait."""


class Blocks:
    """Hands out `count` blocks of `size` positions."""

    def __init__(self, count: int, size: int, sharing: bool = True) -> None:
        self.size, self.sharing = size, sharing
        self._empty = list(range(count))[::-1]
        self._users = [0] * count
        self._keys: dict[int, Key] = {}
        self._known: dict[Key, int] = {}
        self._unused: OrderedDict[int, None] = OrderedDict()  # known, but nobody's: the oldest first

    @property
    def free(self) -> int:
        """Blocks that could be handed out now."""
        return len(self._empty) + len(self._unused)

    def take(self) -> int:
        """A block for writing. Raises OutOfBlocks."""
        if self._empty:
            block = self._empty.pop()
        elif self._unused:
            block, _ = self._unused.popitem(last=False)
            del self._known[self._keys.pop(block)]
        else:
            raise OutOfBlocks
        self._users[block] = 1
        return block

    def give_back(self, blocks: list[int]) -> None:
        """One user of these blocks is done with them."""
        for block in reversed(blocks):  # the end of a text is forgotten before its beginning
            self._users[block] -= 1
            if self._users[block] == 0:
                if block in self._keys:
                    self._unused[block] = None
                else:
                    self._empty.append(block)

    def shared(self, tokens: list[int]) -> list[int]:
        """The blocks that already hold the beginning of `tokens`, now used once more; never all of the tokens.

        At least one token is left to be computed, because its logits are what the next one is chosen by.
        """
        found: list[int] = []
        before: int | None = None
        for start in range(0, len(tokens) - self.size, self.size):
            block = self._known.get((before, tuple(tokens[start : start + self.size])))
            if block is None:
                break
            self._users[block] += 1
            self._unused.pop(block, None)
            found.append(block)
            before = block
        return found

    def publish(self, blocks: list[int], tokens: list[int], done: int = 0) -> int:
        """Make known that `blocks` hold `tokens`, as far as they are full; `done` are known. Returns how many are now.

        Where another block holds the same, what follows has a beginning that is not known, and NEVER is.
        """
        full = len(tokens) // self.size
        if not self.sharing:
            return NEVER
        before: int | None = blocks[done - 1] if done else None
        for number in range(done, full):
            key = (before, tuple(tokens[number * self.size : (number + 1) * self.size]))
            block = blocks[number]
            if block not in self._keys and key not in self._known:
                self._keys[block], self._known[key] = key, block
            if self._known.get(key) != block:
                return NEVER
            before = block
        return full
