"""What was shown to whom, as figures: arms of an experiment side by side, and policies that were never served."""
