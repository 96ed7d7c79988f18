"""Kubernetes: a job for each cell, which fetches the project from a store and leaves its record there."""
