"""What callers may use at most: counted before a turn is paid for, settled when it is known what it used."""
