"""mbuild: a declarative build tool for local language models."""
