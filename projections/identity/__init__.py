"""The read model `identity`: who is who, by which evidence and rulings, and what other rules would make of it."""
