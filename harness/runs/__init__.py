"""Runs: a cell's program run, its measurements judged, its record left; it knows engines, and no scheduler."""
