"""Simulates a listening log with known ground truth, so that tests can check what a model recovers."""
