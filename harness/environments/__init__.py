"""What programs run in: stacks made from locks, and images; it knows kinds of hardware, and no run."""
