"""Tables on disk or in a bucket, and the suppression list of erased users."""
