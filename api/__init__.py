"""Answer: FastAPI routes, security, errors, live streams. No SQL, no business rules."""
