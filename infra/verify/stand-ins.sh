#!/usr/bin/env bash
# Stand-ins for registry images, for a machine that reaches Debian's packages but no registry: a small Debian
# with Python (debootstrap), and on it Debian's PostgreSQL and Prometheus. They contain nothing of the project.
#   stand-ins.sh            needs root, debootstrap and a Docker engine; keeps existing stand-ins
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
  # Like slim images: no documentation, no translations, no apt cache.
  rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* \
    "$root"/usr/share/{doc,man,info,locale}/*
  cat > "$root/etc/apt/apt.conf.d/slim" <<'APT'
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb || true"; };
APT
  # This machine's certificates and pip settings, if they are not the defaults: the Dockerfiles do not have them.
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
