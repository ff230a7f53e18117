"""Circa: private neural-network inference between a client and a server."""
