"""Calls of models: which one counts, and how it becomes an inference."""
