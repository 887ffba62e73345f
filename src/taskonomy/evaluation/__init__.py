"""What a policy is worth: significance, labels saved, and the similarity tree of the tasks (paper section 4)."""
