"""Labels as networks see them: kinds of labels, encodings, colour bins, permutations, class names."""
