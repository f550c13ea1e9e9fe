"""Decide: the catalogue of event types, identifiers and errors. Pure: no I/O, no clock, no chance, no SQL."""
