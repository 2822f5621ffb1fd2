"""Federation: rounds between real processes, carried by Flower, over cells that keep their people's data.

A task goes from the server to each cell, and sums come back. `tasks` says what is asked and answered, `wire` how that
is bytes, `cell` what a cell does, `trainer` is the process in which it does it, `client_app` and `server_app` are the
two ends that Flower runs.
"""
