"""What a policy and a table are worth: significance, labels saved, the similarity tree, agreement and sanity checks (paper section 4)."""
