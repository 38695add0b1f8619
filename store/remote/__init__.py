"""Where weights come from: one module per remote."""
