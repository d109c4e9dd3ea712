-- Rows of a batch of which some are in the table already; emptied at every commit.
CREATE TEMPORARY TABLE IF NOT EXISTS stage_decision (LIKE apiauth_decision) ON COMMIT DELETE ROWS
