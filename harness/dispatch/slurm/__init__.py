"""Slurm: cells are dispatched as arrays of jobs, followed to their end, and each attempt leaves a record."""
