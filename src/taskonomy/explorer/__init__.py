"""`taskonomy explore`: the solver as a page on one's own machine. What stands in the fields is solved; nothing is computed in advance."""
