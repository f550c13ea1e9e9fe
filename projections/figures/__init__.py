"""The read model `figures`: lines of orders, scores, moods, mentions of products, and what things are."""
