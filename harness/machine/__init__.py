"""This machine: which cards it has, and what it says of them; it knows kinds of hardware, and no run."""
