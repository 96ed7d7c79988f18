"""What has to be in order before a run, and how to mend it; it knows machine and environments, and runs nothing."""
