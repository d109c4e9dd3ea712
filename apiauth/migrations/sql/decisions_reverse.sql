DROP TABLE apiauth_gatewaystatus;
DROP TABLE apiauth_spoolfile;
DROP TABLE apiauth_keyusage;
DROP TABLE apiauth_pathrollup;
DROP TABLE apiauth_minuterollup;
DROP TABLE apiauth_decisionrollup;
DROP TABLE apiauth_decision;
DROP FUNCTION keystead_ensure_decision_partitions(date, date);
