"""What is compared with what: suites as TOML, cases, and the plan of a session."""
