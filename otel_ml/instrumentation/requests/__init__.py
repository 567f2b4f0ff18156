"""Requests around model calls: their ids, what was recorded in them, and their end."""
