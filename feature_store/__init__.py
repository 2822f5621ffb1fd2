"""What lies between training and serving: item vocabulary, checkpoints, fold-in, local stores."""
