"""Labels as networks see them: kinds, encodings, colour bins, permutations, class names."""
