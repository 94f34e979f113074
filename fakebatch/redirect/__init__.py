"""Leads the host names of the service to a fake."""
