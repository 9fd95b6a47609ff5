"""Frozen past models on one side of some games, and which seats are learned from."""
