"""A window on the screen of the device: pictures with what is seen in them, and what is heard."""
