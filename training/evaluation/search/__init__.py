"""Quality of the search by text."""
