"""What a reader would stumble over fails the build: here a heading that does not fit a line.

Dead links fail by mkdocs.yml's `validation`, a text without its Chinese twin in pages.py.
"""

import re
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.pages import Page

HEADING = re.compile(r"^#{1,6} (.+?)(?: \{.*\})?$", re.MULTILINE)
FENCED = re.compile(r"^```.*?^```$|^(?: {4}.*\n)+", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
LONGEST = 60  # letters; a Chinese one takes the room of two


def on_page_markdown(markdown: str, page: Page, **_: Any) -> None:
    for heading in HEADING.findall(FENCED.sub("", markdown)):
        words = LINK.sub(r"\1", heading).replace("`", "")
        if width(words) > LONGEST:
            raise PluginError(f"{page.file.src_uri}: the heading {words!r} is over {LONGEST} letters wide. Shorten it.")


def width(words: str) -> int:
    return sum(2 if "\u2e80" <= letter <= "\uffef" else 1 for letter in words)
