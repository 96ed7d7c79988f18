"""Attaching: a person's own evidence inspected and attached to a part; it reads any file with suspicion."""
