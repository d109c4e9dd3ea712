DELETE FROM apiauth_gatewaystatus WHERE incarnation = %(incarnation)s
