#!/usr/bin/env bash
# Waits until every container of the Compose project is healthy, or has exited successfully if it is a one-off.
#   wait-healthy.sh SECONDS COMPOSE...      e.g. wait-healthy.sh 300 docker compose --file infra/docker-compose.yml
set -euo pipefail
: "${DOCKER:=docker}"
until=$((SECONDS + $1))
shift

while :; do
  waiting=()
  found=0
  while IFS= read -r container; do
    found=1
    read -r name state code health < <("$DOCKER" inspect --format \
      '{{index .Config.Labels "com.docker.compose.service"}} {{.State.Status}} {{.State.ExitCode}} {{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}' "$container")
    case "$state $health" in
      "running healthy") ;;
      "exited "*)
        if [ "$code" != 0 ]; then
          echo "$name ended with status $code; see: $* logs $name" >&2
          exit 1
        fi
        ;;
      *) waiting+=("$name ($state, $health)") ;;
    esac
  done < <("$@" ps --quiet --all 2> /dev/null || "$@" ps --quiet)
  if [ $found = 0 ]; then
    waiting=("no containers found")
  elif [ ${#waiting[@]} -eq 0 ]; then
    echo "all containers are healthy"
    exit 0
  fi
  if [ "$SECONDS" -ge "$until" ]; then
    echo "not healthy: ${waiting[*]}" >&2
    exit 1
  fi
  sleep 2
done
