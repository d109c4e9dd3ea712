SELECT keystead_ensure_decision_partitions(%(first)s, %(last)s)
