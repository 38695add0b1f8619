"""The Modelfile language, and building."""
