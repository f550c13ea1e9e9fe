"""How is what Storyline promises proved? Against real servers, by tests that read as sentences."""
