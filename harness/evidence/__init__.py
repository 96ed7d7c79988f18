"""Evidence: sealed folders and what is in them, written, read and checked; it knows files, and no machine."""
