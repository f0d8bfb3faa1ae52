"""The records: what each stage makes and the next one reads. No I/O, no YAML, no asyncio."""
