"""Verification: whether records and packs are what they say; it believes nothing that they state of themselves."""
