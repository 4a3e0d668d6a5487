"""Networks, losses, metrics and predictions."""
