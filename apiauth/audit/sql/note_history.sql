-- After a restore or a failover: see keystead_note_history.
SELECT keystead_note_history()
