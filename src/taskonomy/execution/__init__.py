"""Units of work, handed over at one seam, `submit`, to the processes of this machine or to a cluster."""
