"""Who may do what: tokens with scopes, the password of the pages, and the names under which browsers may come."""

from .decision import Access
from .names import client_of, is_loopback
from .rates import Rate
from .scopes import Grant, Scope
from .settings import AccessSettings, OAuthSettings

__all__ = ["Access", "AccessSettings", "Grant", "OAuthSettings", "Rate", "Scope", "client_of", "is_loopback"]
