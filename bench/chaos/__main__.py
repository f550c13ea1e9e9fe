"""What does `python -m bench.chaos` run? The same as `storyline bench chaos`."""

import sys

from bench.chaos.command import main

main(sys.argv[1:])
