"""Two-party protocols for private inference: semi-honest, kappa = 128, sigma = 40, no third party."""

if __name__ != "circa.protocols":
    raise ImportError(f"import this package as circa.protocols, not {__name__}")
