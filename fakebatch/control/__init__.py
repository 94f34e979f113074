"""The fake's own HTTP interface, for those who are not in its process, and the page on it."""
