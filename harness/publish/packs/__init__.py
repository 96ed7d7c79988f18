"""Packs: a task's submission as one zip: its contents, its cover page, its archive; and one that came unpacked."""
