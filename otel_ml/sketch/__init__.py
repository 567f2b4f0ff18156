"""Mergeable summaries of columns: one file a kind of sketch, `summary` for all that is kept of one column, `codec` for
the bytes they travel as.
"""
