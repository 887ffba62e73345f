"""Which networks and transfers a run trains, and the files in which stages write them."""
