"""Points: what the records of all cells are worth; it reads evidence, and runs nothing."""
