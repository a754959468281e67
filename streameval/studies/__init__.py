"""Mini-batch against full loss: what joins an evaluation with statistics. Nothing is imported until it is used."""
