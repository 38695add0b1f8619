"""The wires: what clients send and get, as values. Nothing here does I/O."""
