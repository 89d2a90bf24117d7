"""HTTP transport: a request is prepared, waits for the limiter, is sent, and is retried where that is safe."""
