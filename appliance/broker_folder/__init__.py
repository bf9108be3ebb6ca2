"""What a broker needs to keep devices and services apart: its configuration, rights, certificates or passwords."""
