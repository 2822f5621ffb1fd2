"""Re-ranking: from scored candidates to a list that keeps to the placement's shares, caps and positions."""
