"""Prove: benchmarks, run by hand, each beside a limit or a peer in the same run."""
