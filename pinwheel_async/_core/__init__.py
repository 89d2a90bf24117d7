"""The protocol without I/O: functions of bytes and values that never await and never read a clock."""
