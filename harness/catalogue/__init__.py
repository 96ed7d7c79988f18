"""The catalogue: parts and kinds of hardware, read from their data files and checked; it knows data, no machine."""
