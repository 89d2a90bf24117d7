"""Engine of a sync run; nothing here knows SQL."""
