#!/bin/sh
# Installs the packages of uv.lock with these extras, and torch by its range, into .venv: install.sh EXTRA...
# A run that failed or was killed continues when it is started again.
set -eu
python=.venv/bin/python uv=.venv/bin/uv public_index=https://pypi.org/simple options=
for extra; do options="$options --extra $extra"; done
trap '[ $? = 0 ] || echo "Segue was not installed, for the reason above. If the package index cannot be reached, name one that can:" \
    "UV_DEFAULT_INDEX=URL make setup. The same command continues where it ended." >&2' EXIT

# uv does not read pip's configuration, and pip not that of uv.
of_pip() { "$python" -m pip config list | sed -n "s/^[^=]*\.$1='\(.*\)'$/\1/p" | head -n 1; }
index=${UV_DEFAULT_INDEX:-${UV_INDEX_URL:-$(of_pip index-url)}}
SSL_CERT_FILE=${SSL_CERT_FILE:-$(of_pip cert)}
unset UV_INDEX_URL
if [ "$SSL_CERT_FILE" ]; then export SSL_CERT_FILE; else unset SSL_CERT_FILE; fi
export UV_PROJECT_ENVIRONMENT=.venv UV_PYTHON="$python" UV_COMPILE_BYTECODE=1
[ -z "$index" ] || export UV_DEFAULT_INDEX="$index" PIP_INDEX_URL="$index"

# uv itself, also with the locked hashes
sed -n '/^name = "uv"$/,/^$/ { s/^version = "\(.*\)"/uv==\1 \\/p; s/.*hash = "\([^"]*\)".*/    --hash=\1 \\/p; }' uv.lock > .venv/uv.txt
"$python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement .venv/uv.txt

# The lock names the public index. From another index, uv installs the exported lock: the same versions with the same hashes.
if [ -z "$index" ]; then
    "$uv" sync --locked --inexact --default-index $public_index --no-install-package torch $options
else
    "$uv" export --quiet --locked --offline --default-index $public_index --no-emit-package torch $options --output-file .venv/requirements.txt
    "$uv" pip install --no-deps --python "$python" --requirement .venv/requirements.txt
fi
"$python" -m pip install --quiet --disable-pip-version-check "$(sed -n 's/^ *"\(torch[<>=].*\)",$/\1/p' pyproject.toml)"
