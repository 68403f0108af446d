"""Recall (candidate generation): one module or folder per channel; `registry` is the table of channels."""
