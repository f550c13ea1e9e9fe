"""The read model `customers`: what is known of each evidence, to be folded per customer when it is read."""
