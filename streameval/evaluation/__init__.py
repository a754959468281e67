"""A model over a data set: one pass into an exact, mergeable state. Nothing is imported until it is used."""
