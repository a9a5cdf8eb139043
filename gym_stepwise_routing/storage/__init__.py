"""Files that are complete or not there, and JSON that is what it should be."""
