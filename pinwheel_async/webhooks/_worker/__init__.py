"""Worker: claims deliveries from the inbox and runs the handlers."""
