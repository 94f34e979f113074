"""The resource jobs, with their tasks and instances."""
