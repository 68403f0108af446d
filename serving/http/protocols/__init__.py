"""Other protocols than the service's own: ListenBrainz and playlist files."""
