-- Rows of one batch, before it is known which of them are new; emptied at every commit.
CREATE TEMPORARY TABLE IF NOT EXISTS stage_decision (LIKE apiauth_decision) ON COMMIT DELETE ROWS
