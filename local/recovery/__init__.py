"""Backup and restore of SEGUE_HOME."""
