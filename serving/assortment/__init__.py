"""What a server knows of the items that it may show now: the model's and the catalogue's, as columns of arrays."""
