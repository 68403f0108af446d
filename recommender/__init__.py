"""Answers to requests: recall, fusion, ranking and the slate, shared by serving and evaluation. Knows no process and no training."""
