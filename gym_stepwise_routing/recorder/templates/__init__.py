"""Prompt templates that come with the package, one text file each."""
