"""Reading what models are given: one file for each family of containers, none of which imports the family's library."""
