"""What a split by pictures would have added to the score: the same small training under two splits."""
