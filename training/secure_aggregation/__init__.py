"""Secure aggregation: a server learns the sum of what its clients sent, and of one client nothing.

The protocol of Bonawitz et al. 2017, "Practical secure aggregation for privacy-preserving machine learning",
figure 4, in the version against an active adversary, as pure functions from bytes to bytes: there is no transport in
here. `client_round.ClientRound` is a client's side of a round, `server.begin`, `server.accept` and `server.close` are
the server's.
"""
