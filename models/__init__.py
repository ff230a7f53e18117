"""Reference networks in plain PyTorch."""

if __name__ != "circa.models":
    raise ImportError(f"import this package as circa.models, not {__name__}")
