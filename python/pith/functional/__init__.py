"""What users call on arrays: functions that write small programs, compile each once, and keep the kernels."""
