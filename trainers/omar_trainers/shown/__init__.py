"""What a run shows: the summary, its curves, games as text, where the time went."""
