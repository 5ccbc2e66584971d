"""The figures of the papers behind the laws, drawn again with the laws of this package."""
