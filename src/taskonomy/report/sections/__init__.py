"""One module a part of the page: from results to what its template shows, and the one sentence that says what to see there."""
