"""SQL: tables, queries and the prediction log.  It knows no web and no models."""
