"""How Sphinx builds the documentation: `tox -e docs`."""

from importlib.metadata import version as installed

project = "fakebatch"
version = release = installed("fakebatch")
extensions = ["myst_parser"]
root_doc = "index"
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {"page_width": "1200px", "description": "A fake of Alibaba Cloud BatchCompute"}

# Titles are linked to as GitHub links to them, in pages that read well there too.
myst_heading_anchors = 3

# Of addresses only those outside that are no addresses of a server that somebody has started.
linkcheck_ignore = [r"http://127\.0\.0\.1"]
