"""The favourites channel: tracks that the user returns to."""
