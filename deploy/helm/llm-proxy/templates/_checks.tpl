{{/*
What does not go together is refused, in words that say what to do. The names of
settings are those of docs/settings.md, which the chart carries.
*/}}
{{- define "llm-proxy.checks" -}}
{{- $v := .Values -}}
{{- $shared := include "llm-proxy.shared" . -}}
{{- if and (not $shared) (or (gt (int $v.replicaCount) 1) $v.autoscaling.enabled) -}}
{{- fail "more than one replica needs a PostgreSQL that they share: set database.url or database.existingSecret (the setting DB_URL); the embedded store is one process's own file" -}}
{{- end -}}
{{- if and (not $shared) (not $v.persistence.enabled) -}}
{{- fail "the embedded store, its keys included, would go with the pod: set persistence.enabled, or a PostgreSQL by database.url or database.existingSecret" -}}
{{- end -}}
{{- if and $v.database.url $v.database.existingSecret -}}
{{- fail "database.url and database.existingSecret are both set: which one?" -}}
{{- end -}}
{{- with $v.secrets -}}
{{- if and .existingSecret (or .adminKey .secretKey .metricsKey .openaiApiKey) -}}
{{- fail "secrets.existingSecret is set, and a key beside it: put the key into that Secret" -}}
{{- end -}}
{{- end -}}
{{- if and $v.autoscaling.enabled (gt (int $v.autoscaling.minReplicas) (int $v.autoscaling.maxReplicas)) -}}
{{- fail "autoscaling.minReplicas is above autoscaling.maxReplicas" -}}
{{- end -}}
{{- if and $v.autoscaling.enabled (not (dig "requests" "cpu" "" $v.resources)) -}}
{{- fail "autoscaling is by the share of resources.requests.cpu: set it" -}}
{{- end -}}
{{- if eq (int $v.operators.port) 18000 -}}
{{- fail "operators.port is the pods' port for clients: take another" -}}
{{- end -}}
{{- if and $v.operators.enabled $v.serviceMonitor.enabled $v.networkPolicy.enabled (not $v.operators.from) -}}
{{- fail "the network policy lets nobody to the operators' port, not even the Prometheus that serviceMonitor.enabled is for: name its pods in operators.from" -}}
{{- end -}}
{{- $elsewhere := dict
  "DB_URL" "database.url or database.existingSecret"
  "ADMIN_KEY" "secrets.adminKey or secrets.existingSecret"
  "SECRET_KEY" "secrets.secretKey or secrets.existingSecret"
  "METRICS_KEY" "secrets.metricsKey or secrets.existingSecret"
  "OPENAI_API_KEY" "secrets.openaiApiKey or secrets.existingSecret"
  "SHUTDOWN_GRACE_SECS" "shutdown.graceSeconds"
  "DRAIN_DELAY_SECS" "shutdown.drainDelaySeconds"
  "ADMIN_ADDR" "operators.enabled and operators.port"
  "ADMIN_ON_PUBLIC_PORT" "operators.alsoOnPublicPort"
  "ADMIN_PLAIN_HTTP" "operators.enabled (which implies it without tls.existingSecret)"
  "TLS_CERT_FILE" "tls.existingSecret"
  "TLS_KEY_FILE" "tls.existingSecret"
  "PORT" "service.port (the pods' own port does not change)"
  "DATA_DIR" "persistence (its place does not change)" -}}
{{- $known := regexFindAll "(?m)^\\| `[A-Z_]+` \\|" (.Files.Get "settings.md") -1 -}}
{{- range $name, $_ := $v.settings -}}
{{- with get $elsewhere $name -}}
{{- fail (printf "settings.%s: set %s" $name .) -}}
{{- end -}}
{{- if not (has (printf "| `%s` |" $name) $known) -}}
{{- fail (printf "settings.%s is no setting of llm-proxy; docs/settings.md lists them" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
