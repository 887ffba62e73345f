"""Serve `taskonomy explore`: the solver as a local web page. Each setting of the fields is solved on demand; nothing is precomputed."""
