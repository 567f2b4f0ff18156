"""Pages for people: which model is unwell, why, and which requests show it. They only read."""
