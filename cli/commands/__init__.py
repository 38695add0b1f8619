"""The commands, one module each; :mod:`mbuild.cli.app` imports the one that is called."""
