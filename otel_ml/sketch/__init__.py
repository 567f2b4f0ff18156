"""Mergeable summaries of columns.

One file a kind of sketch; `summary` holds all that is kept of one column, `codec` knows the bytes they travel as.
"""
