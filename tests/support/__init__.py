"""Which real servers do tests and benchmarks run against? PostgreSQL and Apache Kafka, started here."""
