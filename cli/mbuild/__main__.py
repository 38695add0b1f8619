"""``python -m mbuild``."""

from mbuild.cli.app import main

main()
