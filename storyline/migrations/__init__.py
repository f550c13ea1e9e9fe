"""Numbered SQL of the durable tables: what no rebuild can bring back."""
