"""The list of jobs: what was handed to schedulers, followed to its end whatever dies on the way."""
