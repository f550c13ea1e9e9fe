"""Move: one long-running process per file."""
