"""The stage `prepare`: convert images and labels of any source to memory-mapped arrays; it can be interrupted and resumed."""
