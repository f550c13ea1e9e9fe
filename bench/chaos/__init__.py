"""Chaos: faults on a running Storyline, and an oracle that knows what was acknowledged. See docs/chaos.md."""

from bench.chaos.command import main

__all__ = ["main"]
