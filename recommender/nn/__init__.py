"""Neural network layers, losses and optimizers shared by channels and rankers."""
