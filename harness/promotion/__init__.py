"""A model from the best trial: the rules that it is held to, what unseen data prove, and the move of the alias."""
