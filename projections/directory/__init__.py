"""Where is a customer found by what she says about herself? In the one read model with readable personal data."""
