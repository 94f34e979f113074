"""What a world is made of: collections, calls. Generic; knows nothing of operations or HTTP."""
