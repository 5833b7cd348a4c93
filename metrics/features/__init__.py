"""Networks that turn images into features, and their weights."""
