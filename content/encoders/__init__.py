"""Encoders of audio, images and text into vectors, behind one interface (`encoder.Encoder`)."""
