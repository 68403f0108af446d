"""Loading, warming, swapping and rolling back model releases."""
