"""What the examples with other frameworks reach."""
