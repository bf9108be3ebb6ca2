"""The live page: what the appliance sees, hears and answers, for a person with a browser."""
