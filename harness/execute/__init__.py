"""Where fold runs are computed."""
