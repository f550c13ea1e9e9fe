"""The read model `timeline`: every event once, its personal part still sealed."""
