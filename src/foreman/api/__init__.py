"""The way in over HTTP: schema, application, problems, and the client with the same methods as the embedded Foreman."""
