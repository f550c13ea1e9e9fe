"""The read model `segments`: who is in which segment."""
