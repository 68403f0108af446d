"""Networks of the recall channels, in PyTorch. A fit trains one and exports its weights, which `recommender` answers requests with."""
