"""The front doors: the command line, the terminal screens and the pytest plugin."""
