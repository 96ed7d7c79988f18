"""The local engine in a container of an image that `./inv build --push` made: the image's own stack, and no other."""

import os
from pathlib import Path

from harness.catalogue.cells import Cell
from harness.catalogue.entries import rooted
from harness.engines.container import facts, image_of
from harness.engines.engine import Launch, Request, python_words, variables
from harness.engines.local import CACHES, LocalEngine
from harness.environments import images, inside


class InsideEngine:
    """Nothing is installed: an image that holds another stack than the cell's is refused."""

    name = LocalEngine.name

    def __init__(self, folder: Path) -> None:
        self._folder, self._found = folder, inside.read(folder)

    def missing(self, cell: Cell) -> str | None:
        wanted = image_of(cell)
        if images.label(self._found, "recipe") == wanted.recipe:
            return images.unfit_sdks(cell.hardware, self._found) or None
        release = f" --paddle {cell.release.version}" if cell.release else ""
        remedy = f"./inv build --hw {cell.hardware.name} --stack {wanted.stack}{release} --push REGISTRY/REPOSITORY"
        return f"this image is not {wanted.name}, or older than its files: {remedy}"

    def sdks(self, cell: Cell) -> dict[str, str]:
        return images.sdks(self._found)

    def prepare(self, cell: Cell) -> None:
        """Nothing is to be made."""

    def launch(self, request: Request) -> Launch:
        program = request.cell.part.program
        assert program is not None, "a part without a program is not planned"
        settings = variables(request)  # the image's entry point has sourced the vendor's scripts
        return Launch(
            command=(str(self._folder / "bin" / "python"), *python_words(request, program)),
            environment={**CACHES, **os.environ, **{name: rooted(value) for name, value in settings.items()}},
            settings=settings,
            facts=facts(self._found, image_of(request.cell), {"name": self.name}),
        )
