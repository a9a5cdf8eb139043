"""What is compared: the router's contract, policies as arrays, and where they come from."""
