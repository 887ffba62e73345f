"""Which networks and transfers a run trains, and the files that stages write of them."""
