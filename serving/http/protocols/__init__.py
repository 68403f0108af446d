"""Other protocols than the service's own: ListenBrainz, OpenSubsonic and playlist files."""
