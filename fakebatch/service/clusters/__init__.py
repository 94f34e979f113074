"""The resource clusters, their groups and VMs. One concept a module; `operations` is where to begin."""
