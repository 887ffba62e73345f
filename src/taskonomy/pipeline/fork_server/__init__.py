"""A fork server: a process with the large libraries loaded, whose forks become stages."""
