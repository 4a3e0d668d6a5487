"""Pure arithmetic on out-of-fold counts."""
