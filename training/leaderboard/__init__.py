"""Leaderboard: every baseline and model on public data and on the landed logs, on one page (`make leaderboard`)."""
