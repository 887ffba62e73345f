"""Guard every stage: record its dependencies when it begins, and check in the end that they did not change."""
