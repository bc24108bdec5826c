"""A certificate for `localhost` that no authority has signed, good for a hundred years, and its key.

Made once, so that the tests need no tool at hand to make one:

    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500 \\
        -subj /CN=localhost -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:TRUE
"""

import ssl
from pathlib import Path

_CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBlTCCATugAwIBAgIUbZiIpTuuu8l58RM+V3+6zjKvsNUwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMTE2MzQxMFoYDzIxMjYxMDI4
MTYzNDEwWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAR1IVoLrWwZUP9bgXAUk7LcGF17S6WqKW8WKOOcd1FrXX3g5yGU5jUU
F3k2wbzjNi/VFGZu6jMd2npZY1D2SxXbo2kwZzAdBgNVHQ4EFgQUGh26jyhF6tsg
fAG21Uf9ObyEI7QwHwYDVR0jBBgwFoAUGh26jyhF6tsgfAG21Uf9ObyEI7QwFAYD
VR0RBA0wC4IJbG9jYWxob3N0MA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwID
SAAwRQIhAPCLOM5bVpp4r9qErdoizXoaSVpWuPNVYAlWyZLB9sA6AiAh5EAkC1b8
siTV7DELxPQm07+XQRYCNMvifrv5L1P9Nw==
-----END CERTIFICATE-----
"""
_KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgYbsr+LJNm+HmQubK
7QYNqHg/w5cn7OxY5w1hQrYnz52hRANCAAR1IVoLrWwZUP9bgXAUk7LcGF17S6Wq
KW8WKOOcd1FrXX3g5yGU5jUUF3k2wbzjNi/VFGZu6jMd2npZY1D2SxXb
-----END PRIVATE KEY-----
"""


def server_context(folder: Path) -> ssl.SSLContext:
    """For a server of this name. `folder` takes the file that the ssl module insists on reading."""
    path = folder / "localhost.pem"
    path.write_text(_KEY + _CERTIFICATE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def client_context() -> ssl.SSLContext:
    """For a client that trusts this certificate alone."""
    return ssl.create_default_context(cadata=_CERTIFICATE)
