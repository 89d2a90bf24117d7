"""SQL sink: tables, rows, statements, and the writer process."""
