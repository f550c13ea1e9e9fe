"""Accept: application services. They load, ask, save; what is decided is decided in `domain/`."""
