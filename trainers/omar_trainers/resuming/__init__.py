"""What lets a run be killed at any moment and go on with the same command."""
