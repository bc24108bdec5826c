"""What PostgresStore is made of: the parts of ports.Store, in its words."""
