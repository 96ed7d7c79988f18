"""The command line: the program behind `./inv`, its completion, and what it prints; it may know every room."""
