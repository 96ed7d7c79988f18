"""Comparison: records, references and pairs held against each other; it knows runs, where one is repeated."""
