"""`python -m whatsam_simulator`."""

from whatsam_simulator.cli import main

main()
