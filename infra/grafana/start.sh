#!/bin/sh
# Checks where alerts are sent, then runs its arguments: Grafana, or nothing for infra/check_contact.py. Without an
# address Grafana itself would end with a page of messages.
set -eu

refuse() {
  echo "$1; nothing was started. Change .env, or set ALERT_CONTACT=none" >&2
  exit 1
}

case "${ALERT_CONTACT:-none}" in
  none) ;;
  webhook)
    case "${ALERT_WEBHOOK_URL:-}" in
      http://?* | https://?*) ;;
      *) refuse "ALERT_CONTACT=webhook needs ALERT_WEBHOOK_URL, an address that starts with http:// or https://" ;;
    esac
    ;;
  email)
    case "${ALERT_EMAIL:-}" in
      ?*@?*) ;;
      *) refuse "ALERT_CONTACT=email needs ALERT_EMAIL, e.g. ops@example.com" ;;
    esac
    [ -n "${ALERT_SMTP_HOST:-}" ] || refuse "ALERT_CONTACT=email needs ALERT_SMTP_HOST, e.g. mail.example.com:587"
    ;;
  *) refuse "ALERT_CONTACT must be none, webhook or email; it is '$ALERT_CONTACT'" ;;
esac

exec "$@"
