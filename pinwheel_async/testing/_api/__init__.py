"""The API that the fake serves: route, validate, answer, break."""
