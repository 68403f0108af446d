"""From candidates to the served list: fusion, filters, diversity, blend."""
