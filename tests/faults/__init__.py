"""Real commands on a disk that fails, or killed, at every point in turn."""
