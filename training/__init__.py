"""The federated training of one global two-tower recommender."""
