"""What tests stand on: a throw-away server, people and things to act with."""
