"""Connect: channel adapters, importers, and the publishing client."""
