"""Remember: the log's port with its two adapters, the record, sealing and its keys."""
