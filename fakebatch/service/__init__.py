"""What BatchCompute does: resources, operations, script, the world. Knows nothing of HTTP."""
