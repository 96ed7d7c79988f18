"""A file for ParaView: VTK's unstructured grid as plain XML text (.vtu), as its file formats guide describes it.

https://docs.vtk.org/en/latest/design_documents/VTKFileFormats.html
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

QUADRILATERAL = 9  # VTK's number for this kind of cell


def write(path: Path, x: np.ndarray, y: np.ndarray, fields: Mapping[str, np.ndarray]) -> None:
    """Write the grid of `x` (columns,), `y` (rows,) with `fields` (rows, columns) at its points to `path`.

    The plate is bent already: its points' z is the field "w", where there is one, not magnified.
    """
    columns, rows = np.meshgrid(x, y)
    points = np.stack([columns, rows, fields.get("w", 0 * rows)], axis=-1).reshape(-1, 3)
    numbers = np.arange(rows.size).reshape(rows.shape)
    cells = np.stack([numbers[:-1, :-1], numbers[:-1, 1:], numbers[1:, 1:], numbers[1:, :-1]], axis=-1).reshape(-1, 4)
    data = "\n".join(array(name, values.ravel()) for name, values in fields.items())
    path.write_text(
        f"""<?xml version="1.0"?>
<VTKFile type="UnstructuredGrid" version="0.1" byte_order="LittleEndian">
<UnstructuredGrid>
<Piece NumberOfPoints="{len(points)}" NumberOfCells="{len(cells)}">
<Points>
{array("Points", points)}
</Points>
<Cells>
{array("connectivity", cells.ravel())}
{array("offsets", 4 * np.arange(1, len(cells) + 1))}
{array("types", np.full(len(cells), QUADRILATERAL))}
</Cells>
<PointData>
{data}
</PointData>
</Piece>
</UnstructuredGrid>
</VTKFile>
""",
        encoding="utf-8",
    )


def array(name: str, values: np.ndarray) -> str:
    """One DataArray: (n,) numbers or (n, components)."""
    whole = np.issubdtype(values.dtype, np.integer)
    components = f' NumberOfComponents="{values.shape[1]}"' if values.ndim == 2 else ""
    text = " ".join(f"{value:d}" if whole else f"{value:.17g}" for value in values.ravel().tolist())
    kind = "Int64" if whole else "Float64"
    start = f'<DataArray type="{kind}" Name="{name}"{components} format="ascii">'
    return f"{start}\n{text}\n</DataArray>"
