"""Plain torch networks of the papers; nothing here knows of Pyro."""

__all__: list[str] = []
