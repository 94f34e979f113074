"""Control: the HTTP interface of the fake itself, for those who are not in its process."""
