"""Text of YAML or JSON files -> data with positions, and problems with places. Knows nothing of BatchCompute."""
