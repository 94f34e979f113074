"""HTTP: the WSGI application, signatures, the server, certificates."""
