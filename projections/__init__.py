"""Show: one folder per read model, the registry, the runner, the rebuild."""
