"""The proof that an augmentation keeps masks true, on pictures of which everything is known."""
