"""Work that nobody waits for: what retention removes, what the search index lacks, which holds still live."""
