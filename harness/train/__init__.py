"""One fold run: trained, told, committed."""
