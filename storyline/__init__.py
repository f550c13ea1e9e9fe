"""Wire: settings, the composition root, the command line, the embedded servers, the durable tables."""
