"""The stage `prepare`: images and labels of any dataset as memory-mapped arrays, resumable."""
