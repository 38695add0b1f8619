"""How models are kept and moved."""
