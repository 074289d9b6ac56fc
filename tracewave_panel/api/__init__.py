"""The same findings for programs: REST, a WebSocket, SQL and Prometheus' figures."""
