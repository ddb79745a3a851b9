#!/bin/bash
# Like the image `postgres`: as root, give the folder to `postgres` and switch to that account; in an empty
# folder create a cluster, run the scripts while the server listens only on its socket, then start it.
set -euo pipefail
if [ "$(id -u)" = 0 ]; then
  chown -R postgres "$PGDATA" /run/postgresql
  chmod 0700 "$PGDATA"
  exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  initdb --username=postgres --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") \
    --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 > /dev/null
  printf 'host all all all scram-sha-256\n' >> "$PGDATA/pg_hba.conf"
  pg_ctl --options "-c listen_addresses='' -k /run/postgresql" --wait start > /dev/null
  for script in /docker-entrypoint-initdb.d/*.sql; do
    psql --username=postgres --no-password --no-psqlrc --host=/run/postgresql --set ON_ERROR_STOP=1 \
      --file "$script"
  done
  pg_ctl --mode fast --wait stop > /dev/null
fi
exec "$@" -c listen_addresses='*' -k /run/postgresql
