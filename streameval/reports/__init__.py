"""Finished results as text, JSON, pictures. Nothing here computes one. Nothing is imported until it is used."""
