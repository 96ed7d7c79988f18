"""Engines: where a cell runs, which return commands and run nothing; they know environments, and no record."""
