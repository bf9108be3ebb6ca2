"""Whether the service in this container is ready, by the Open Inference Protocol; exit code 0 when it is.

HEALTH_URL is asked (https://localhost:8000/v2/health/ready unless it is set), and believed with a certificate that an
authority in HEALTH_CA_FILE has signed.
"""

from __future__ import annotations

import os
import ssl
import sys
import urllib.request

url = os.environ.get("HEALTH_URL", "https://localhost:8000/v2/health/ready")
trusted = os.environ.get("HEALTH_CA_FILE", "/etc/appliance/broker/trusted.crt")
if not url.startswith(("http://", "https://")):
    sys.exit(f"HEALTH_URL={url}: expected http:// or https://")
try:
    context = ssl.create_default_context(cafile=trusted) if url.startswith("https://") else None
    with urllib.request.urlopen(url, timeout=2.5, context=context) as answer:  # noqa: S310  # looked at above
        sys.exit(0 if answer.status == 200 else f"{url}: {answer.status}")
except OSError as error:  # a refusal, an unknown certificate, a file that is not there
    sys.exit(f"{url}: {error}")
