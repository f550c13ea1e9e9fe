"""The read model `work`: deals, tickets, tasks and leads, native and foreign, and what colleagues are told."""
