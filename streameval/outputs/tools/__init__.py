"""What evaluation tools write for each sample: one file for each tool, a row in `formats.FORMATS`."""
