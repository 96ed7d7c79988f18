"""Outdoors: the outings of task 15, from track files, and their drawings."""
