"""Saved outputs of a model that is not here: one value a row, from a file. Nothing is imported until it is used."""
