"""Where the lessons are."""

from pathlib import Path

PROJECTS = Path(__file__).resolve().parents[3] / "projects"
