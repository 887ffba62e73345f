"""A new task with a few labels: transfers from every task of a run, ranked."""
