"""Dispatch: cells run elsewhere, a scheduler or machine a folder; the runs there know nothing of it."""
