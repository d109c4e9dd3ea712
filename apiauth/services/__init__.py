"""The only writers: one function an action, each in one transaction with its activity event."""
