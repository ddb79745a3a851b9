#!/usr/bin/env bash
# Saves all data of the containers as files in a folder, and restores it.
#   state.sh backup FOLDER COMPOSE...     from a running stack; creates FOLDER
#   state.sh restore FOLDER COMPOSE...    into a running stack; replaces its data
# COMPOSE is the command with its options, e.g. docker compose --env-file .env --file infra/docker-compose.yml
set -euo pipefail
action=$1
folder=$2
shift 2
if [ -z "$folder" ]; then
  echo "a folder is missing; use make backup TO=FOLDER or make restore FROM=FOLDER" >&2
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
  # Databases first: files added later are extra files, while files missing from the backup would be lost.
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
  # Check every file before anything is changed.
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
  echo "state.sh: the action must be backup or restore; got $action" >&2
  exit 2
  ;;
esac
