"""Text, audio and image features of tracks."""
