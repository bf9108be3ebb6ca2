"""Real daemons, brokers and subscribers that are killed, starved and cut off; every event is accounted for."""
