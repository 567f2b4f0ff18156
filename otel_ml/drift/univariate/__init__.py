"""Detectors that compare one column with its reference, one a file."""
