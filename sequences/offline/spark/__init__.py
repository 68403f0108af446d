"""The Feast offline store on Spark."""
