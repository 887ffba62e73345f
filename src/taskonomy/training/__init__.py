"""One loop for every network; losses; the ledger of finished units of work."""
