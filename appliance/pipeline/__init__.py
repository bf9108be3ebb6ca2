"""From a sample to the documents it causes: feeds, workers, models' answers, tracks and lives."""
