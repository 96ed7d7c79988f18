"""The package behind the words of tasks.py: catalogue → cells → engine → record → judge → points → matrix."""
