"""The appliance as Home Assistant finds it by itself: MQTT device discovery."""
