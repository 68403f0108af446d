"""Tables on disk or in a bucket, the suppression list of erased users, and the music server that a home belongs to."""
