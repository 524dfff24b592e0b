#!/usr/bin/env bash
# Installs the servers that tests talk to (nobody here wrote them) into
# target/tools: a SCIM 2.0 server and an SMTP server, from PyPI.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=target/tools
if [ -x "$venv/bin/scim2-server" ] && [ -x "$venv/bin/aiosmtpd" ]; then
  exit 0
fi
command -v python3 >/dev/null || { echo "there is no python3 here" >&2; exit 1; }
mkdir -p target
python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check scim2-server==0.8.3 aiosmtpd==1.4.6
