"""A federation on one machine: its files, its processes, and the runs that it is asked for."""
