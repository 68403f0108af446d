"""Message catalogs: texts for listeners, one file per language."""
