"""What do all stories together say? Figures that are asked of the read models: service, opinions, sales, loyalty."""
