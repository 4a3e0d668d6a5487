"""The only home of Optuna."""
