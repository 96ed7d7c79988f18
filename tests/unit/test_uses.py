"""`uses:` in project.yaml names what a project imports from elsewhere in projects/: all of it, and no more."""

import ast
import sys
from pathlib import Path

import pytest
import yaml

PROJECTS = Path(__file__).resolve().parents[2] / "projects"
READ_ONLY = {"examples", "upstream"}  # programs that a project reads, not its own


def modules(folder):
    """The Python files of a project or library, by the name that its neighbours import them by."""
    files = (path for path in folder.rglob("*.py") if not READ_ONLY & set(path.relative_to(folder).parts))
    return {path.stem: path for path in files}


def imported(folder):
    """The top names that the modules of `folder` import, without its own and the standard library's."""
    found = set()
    for path in modules(folder).values():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add((node.module or "").partition(".")[0])
    return found - sys.stdlib_module_names - modules(folder).keys()


def offers(folder, name):
    """Whether `import name` may mean something of that folder of projects/."""
    return name == folder.name if (folder / "__init__.py").is_file() else name in modules(folder)


def mistakes(folder, uses):
    """What is imported and stands in no folder of `uses`, and which of these nothing is imported from."""
    others = [path for path in folder.parent.iterdir() if path.is_dir() and path != folder]
    libraries = [folder.parent / name for name in uses]
    wanted = imported(folder).union(*map(imported, libraries))
    lacking = {
        name
        for name in wanted
        if any(offers(other, name) for other in others) and not any(offers(library, name) for library in libraries)
    }
    unused = {library.name for library in libraries if not any(offers(library, name) for name in wanted)}
    return lacking, unused


@pytest.mark.parametrize("folder", sorted(PROJECTS.glob("*/project.yaml")), ids=lambda path: path.parent.name)
def test_a_project_names_what_it_imports_and_nothing_else(folder):
    uses = yaml.safe_load(folder.read_text(encoding="utf-8")).get("uses", ())
    assert mistakes(folder.parent, uses) == (set(), set())


def test_an_import_that_nobody_names_is_found_and_a_name_that_nobody_needs(tmp_path):
    texts = {
        "kit/__init__.py": "import math",
        "llm/__init__.py": "import kit",
        "01-a/main.py": "from llm import model\nimport step",
        "02-b/step.py": "import numpy",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
    assert mistakes(tmp_path / "01-a", ["kit", "llm", "02-b"]) == (set(), set())
    assert mistakes(tmp_path / "01-a", ["llm"]) == ({"step", "kit"}, set())
    assert mistakes(tmp_path / "02-b", ["llm", "kit"]) == (set(), {"llm"})
