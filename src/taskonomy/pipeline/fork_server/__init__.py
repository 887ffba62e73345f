"""A process with the libraries loaded, whose forks become stages."""
