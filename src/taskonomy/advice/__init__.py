"""What to label next: curves of loss by labelled images, purchases, and the policies that they lead to."""
