"""The game: what an episode is, what it charges and shows, and where it stands."""
