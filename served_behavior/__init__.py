"""What a listener feels: responses of a release to skips, dislikes, likes and plays, and the truth of its reasons."""
