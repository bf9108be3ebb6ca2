"""Every reason why a GPU cannot be used, provoked for real: what is said, who answers, how the process ends."""
