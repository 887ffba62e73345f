"""Training: one loop for every network, the losses, and the units of work that trainings are."""
