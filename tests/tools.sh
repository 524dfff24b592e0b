#!/usr/bin/env bash
# Installs what tests talk to (nobody here wrote it) into target/tools, from PyPI: a
# SCIM 2.0 server, an SMTP server, and a program that tries the API by its description.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=target/tools
if [ -x "$venv/bin/scim2-server" ] && [ -x "$venv/bin/aiosmtpd" ] && [ -x "$venv/bin/schemathesis" ]; then
  exit 0
fi
command -v python3 >/dev/null || { echo "there is no python3 here" >&2; exit 1; }
mkdir -p target
python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check scim2-server==0.8.3 aiosmtpd==1.4.6 schemathesis==4.32.5
