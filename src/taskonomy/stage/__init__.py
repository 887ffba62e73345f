"""What every stage begins and ends with: its dependencies, and that they stay as they were."""
