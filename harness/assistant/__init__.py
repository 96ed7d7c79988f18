"""Pairing: a person asks a model for code, and what fails goes back to it, until the tests pass.

dialogue → conversations (the endpoint) → codeblocks (its answer) → sandbox → transcripts → sessions (sealed)
"""
