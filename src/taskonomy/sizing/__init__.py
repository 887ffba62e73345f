"""How large a run will be, before it runs: stages, units of work, images, disk, memory and time."""
