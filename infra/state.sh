#!/usr/bin/env bash
# Everything that the containers keep, as files in a folder, and back.
#   state.sh backup FOLDER COMPOSE...     while all runs; FOLDER is new
#   state.sh restore FOLDER COMPOSE...    into a stack that is up; what it holds is replaced
# COMPOSE is the command with its options, e.g. docker compose --env-file .env --file infra/docker-compose.yml
set -euo pipefail
action=$1
folder=$2
shift 2
if [ -z "$folder" ]; then
  echo "no folder is given; make backup TO=FOLDER, make restore FROM=FOLDER" >&2
  exit 2
fi
DATABASES=(energy_demand mlflow prefect)
WRITERS=(api prefect-worker streamlit prefect-server mlflow)

# A volume as seen by the service that owns it: name, service, folder.
VOLUMES=(
  "mlflow-artifacts mlflow /var/lib/mlflow"
  "energy-demand-home prefect-worker /var/lib/energy-demand"
  "api-home api /var/lib/energy-demand"
)

case $action in
backup)
  mkdir -m 0700 "$folder"
  # Databases first: files that were stored since then are more than they name, not fewer.
  for database in "${DATABASES[@]}"; do
    "$@" exec -T postgres pg_dump --username=postgres --format=custom "$database" > "$folder/$database.dump"
  done
  for line in "${VOLUMES[@]}"; do
    read -r name service path <<< "$line"
    "$@" exec -T "$service" tar --create --directory "$path" . > "$folder/$name.tar"
  done
  (cd "$folder" && sha256sum -- *.dump *.tar > SHA256SUMS)
  echo "backup: $folder, $(du -sh "$folder" | cut -f 1)"
  ;;
restore)
  # Nothing is touched before every file is known to be whole.
  (cd "$folder" && sha256sum --check --quiet SHA256SUMS)
  "$@" stop "${WRITERS[@]}"
  for database in "${DATABASES[@]}"; do
    "$@" exec -T postgres pg_restore --username=postgres --dbname="$database" --clean --if-exists \
      --single-transaction --no-owner --role="$database" < "$folder/$database.dump"
  done
  for line in "${VOLUMES[@]}"; do
    read -r name service path <<< "$line"
    "$@" run --rm --no-deps -T --entrypoint sh "$service" -c \
      "find $path -mindepth 1 -delete && tar --extract --directory $path --no-same-owner" < "$folder/$name.tar"
  done
  "$@" start "${WRITERS[@]}"
  echo "restored: $folder"
  ;;
*)
  echo "state.sh: backup or restore, not $action" >&2
  exit 2
  ;;
esac
