#!/usr/bin/env bash
# Stand-ins for the images of a registry, for a machine that reaches Debian's packages and none: a small Debian
# with Python (debootstrap), and on it Debian's PostgreSQL and Prometheus. Nothing of the project is in them.
#   stand-ins.sh            needs root, debootstrap and a Docker engine; what is there already is kept
# Afterwards: energy-demand-verify/python, /postgres and /prometheus.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
: "${DOCKER:=docker}"
NAME=energy-demand-verify

if ! "$DOCKER" image inspect "$NAME/python" > /dev/null 2>&1; then
  root=$(mktemp -d)
  trap 'rm -rf "$root"' EXIT
  debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$root" > "$root.log" \
    || { tail -n 20 "$root.log" >&2; exit 1; }
  rm -f "$root.log"
  # As slim images are: no documentation, no translations, and apt keeps nothing.
  rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* \
    "$root"/usr/share/{doc,man,info,locale}/*
  cat > "$root/etc/apt/apt.conf.d/slim" <<'APT'
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb || true"; };
APT
  # What this machine trusts and where its pip looks, if that is not the ordinary: the Dockerfiles know nothing
  # of it.
  cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
  changes=(--change "ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt")
  while IFS= read -r setting; do
    changes+=(--change "ENV $setting")
  done < <(env | grep -E '^(PIP_(INDEX_URL|EXTRA_INDEX_URL|CERT)|UV_(INDEX|DEFAULT_INDEX|INDEX_URL)|https?_proxy)=' || true)
  tar --create --directory "$root" . | "$DOCKER" import "${changes[@]}" - "$NAME/python" > /dev/null
fi
for image in postgres prometheus; do
  "$DOCKER" build --quiet --network host --tag "$NAME/$image" --file "Dockerfile.$image" . > /dev/null
done
